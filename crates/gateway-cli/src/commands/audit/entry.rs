//! `audit show` and `audit prove`: one entry, and that it is in the log. A proof is checked here before it
//! is shown: the gateway's word for it is not taken.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use gateway_app::reading::announce;
use gateway_app::tree;
use gateway_audit::tiles::tlog_proof;
use gateway_audit::{Event, Hash, KeyChain, NoteVerifier, leaf_hash, verify_inclusion};
use gateway_types::RequestId;
use gateway_types::wire::audit::AuditQuery;
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::local::{DataPlace, LocalStore};
use crate::output::{Tone, escaped};
use crate::remote::{Remote, Target, Whose, whose};
use crate::witness;

/// The arguments of `audit show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// The entry's index, as `audit tail` shows it, or the id of a request: then every entry of it
    #[arg(value_name = "INDEX|REQUEST_ID")]
    pub(crate) which: Which,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// An entry, or those of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    /// The entry at this index.
    Index(u64),
    /// What is recorded of this request.
    Request(RequestId),
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let index = text.parse().map(Which::Index);
        index.or_else(|_| text.parse().map(Which::Request)).map_err(|_| {
            "it is neither the index of an entry, such as 4711, nor the id of a request, as replies name it in X-Request-Id"
                .to_owned()
        })
    }
}

/// The arguments of `audit prove`.
#[derive(Args, Debug)]
#[command(
    after_help = "The proof is in the C2SP tlog-proof format and stands alone: entry, audit path and signed checkpoint. Keep the entry beside it with --entry."
)]
pub(crate) struct ProveArguments {
    /// The entry's index, as `audit tail` shows it
    #[arg(value_name = "INDEX")]
    pub(crate) index: u64,
    /// Where to write the proof; - for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) out: PathBuf,
    /// Where to write the entry itself, byte for byte as it is hashed
    #[arg(long, value_name = "FILE")]
    pub(crate) entry: Option<PathBuf>,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// An entry whose proof holds.
struct Proven {
    leaf: Vec<u8>,
    hash: Hash,
    size: u64,
    path: Vec<Hash>,
    checkpoint: String,
    key: NoteVerifier,
}

#[derive(Serialize)]
struct Answer<'a> {
    index: u64,
    event: &'a Event,
    leaf_hash: String,
    tree_size: u64,
    key: String,
}

/// Shows one entry, or each of a request.
pub(super) async fn show(context: &Context, arguments: &ShowArguments) -> Result<(), Failure> {
    let request = match arguments.which {
        Which::Index(index) => return show_one(context, index, &arguments.place).await,
        Which::Request(request) => request,
    };
    let indices = match whose(context, &arguments.place)? {
        Whose::Local => {
            let local = LocalStore::open(context, &arguments.place).await?;
            let asked = request.to_string();
            announce(&local.store, &local.operator(), "gateway:audit:search", &[("request", &asked)]).await?;
            let found = local.store.events().by_request(request).await?;
            local.close().await;
            found.into_iter().map(|(index, _event)| index).collect::<Vec<_>>()
        }
        Whose::Remote(target) => {
            let remote = Remote::at(context, *target)?;
            let query =
                AuditQuery { request: Some(request.to_string()), limit: Some(1000), ..AuditQuery::default() };
            let page = remote.ask(async |client| client.events(&query).await).await?;
            page.items.into_iter().rev().map(|event| event.index).collect()
        }
    };
    if indices.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("the log has nothing of request {request}")));
    }
    for index in indices {
        show_one(context, index, &arguments.place).await?;
    }
    Ok(())
}

async fn show_one(context: &Context, index: u64, place: &DataPlace) -> Result<(), Failure> {
    let proven = proven(context, index, place).await?;
    let (event, _nonce) = Event::from_leaf(&proven.leaf).problem("the entry cannot be understood")?;
    let answer = Answer {
        index,
        event: &event,
        leaf_hash: proven.hash.to_hex(),
        tree_size: proven.size,
        key: proven.key.to_string(),
    };
    let pretty = escaped(&serde_json::to_string_pretty(&event)?);
    context.output.answer(&answer, || {
        format!(
            "{pretty}\n{}: entry {} of {}, leaf hash {}\n  key        {}",
            context.output.toned(Tone::Good, "in the log"),
            answer.index,
            answer.tree_size,
            answer.leaf_hash,
            answer.key
        )
    })
}

/// Writes a proof that stands alone.
pub(super) async fn prove(context: &Context, arguments: &ProveArguments) -> Result<(), Failure> {
    let proven = proven(context, arguments.index, &arguments.place).await?;
    let text = tlog_proof(arguments.index, &proven.path, &proven.checkpoint);
    if let Some(path) = &arguments.entry {
        write_new(path, &proven.leaf)?;
    }
    if arguments.out.as_os_str() == "-" {
        return io::stdout().write_all(text.as_bytes()).problem("standard output cannot be written");
    }
    write_new(&arguments.out, text.as_bytes())?;
    crate::output::remark(&format!("the key to check it with: {}", proven.key));
    Ok(())
}

fn write_new(path: &PathBuf, content: &[u8]) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => super::export::taken(path),
            _ => Failure::new(Exit::Failed, format!("{shown} cannot be written: {error}")),
        })?;
    file.write_all(content).and_then(|()| file.sync_all()).problem(format!("{shown} cannot be written"))
}

async fn proven(context: &Context, index: u64, place: &DataPlace) -> Result<Proven, Failure> {
    let (proven, chain) = match whose(context, place)? {
        Whose::Local => local(context, index, place).await?,
        Whose::Remote(target) => remote(context, *target, index).await?,
    };
    let checkpoint =
        chain.verify(&proven.checkpoint).problem("the checkpoint is not signed as it should be")?;
    if leaf_hash(&proven.leaf) != proven.hash {
        return Err(Failure::new(
            Exit::Failed,
            format!("entry {index} was altered: it does not have its hash"),
        ));
    }
    verify_inclusion(&proven.hash, index, &checkpoint.head(), &proven.path)
        .problem(format!("it is not proven that entry {index} is in the log"))?;
    Ok(proven)
}

async fn local(context: &Context, index: u64, place: &DataPlace) -> Result<(Proven, KeyChain), Failure> {
    let local = LocalStore::open(context, place).await?;
    let asked = index.to_string();
    announce(&local.store, &local.operator(), "gateway:audit:read", &[("index", &asked)]).await?;
    let checkpoint = local.store.audit().checkpoint().await?;
    let chain = local.store.audit().keys().await?;
    let size = chain.verify(&checkpoint).problem("the checkpoint is not signed as it should be")?.size;
    let proof = tree::inclusion(&local.store, index, Some(size)).await.problem("there is no proof")?;
    let row = local.store.events().leaves(index, index.saturating_add(1)).await?.into_iter().next();
    let first_kept = local.store.audit_retention().first_kept().await?;
    let key = local.store.audit().verifier();
    local.close().await;
    let row = row.ok_or_else(|| Failure::new(Exit::Failed, format!("the log has no entry {index}")))?;
    if row.has_no_body() && index < first_kept {
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "entry {index} was pruned: what it said is gone, its hash is {}. Bodies begin at entry {first_kept}",
                row.hash.to_hex()
            ),
        ));
    }
    let proven =
        Proven { leaf: row.bytes, hash: row.hash, size: proof.size, path: proof.path, checkpoint, key };
    Ok((proven, chain))
}

async fn remote(context: &Context, target: Target, index: u64) -> Result<(Proven, KeyChain), Failure> {
    let remote = Remote::at(context, target)?;
    let entry = remote.ask(async |client| client.event(index).await).await?;
    let chain = witness::trusted_keys(&remote).await?;
    let key = chain
        .newest()
        .cloned()
        .ok_or_else(|| Failure::new(Exit::Failed, "the gateway names no key of its log"))?;
    let hash = |text: &str| {
        Hash::from_hex(text)
            .ok_or_else(|| Failure::new(Exit::Failed, "the gateway's proof cannot be understood"))
    };
    let inclusion = entry.inclusion;
    let proven = Proven {
        hash: hash(&entry.leaf_hash)?,
        leaf: entry.leaf.into_bytes(),
        size: inclusion.tree_size,
        path: inclusion.path.iter().map(|text| hash(text)).collect::<Result<_, _>>()?,
        checkpoint: inclusion.checkpoint,
        key,
    };
    Ok((proven, chain))
}
