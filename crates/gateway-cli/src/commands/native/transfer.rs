//! Files to and from the rack, and `apps export` and `apps import`, which are several of them in one archive.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use gateway_client::rack::types::{App, Build, Release, Resource};
use gateway_client::rack::{RackRequest, Upload};
use gateway_client::text::one_line;
use serde_json::Value;
use tar::{Archive, Builder, EntryType, Header};

use super::apps::until_made;
use super::place::Fetched;
use super::progress::Progress;
use super::{Place, releases};
use crate::failure::{Exit, Failure, Problem};

/// The largest document inside of an export, in bytes.
const MOST_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Writes an answer of the rack to a file, which is there only once it is whole, or to standard output.
pub(super) async fn download(
    place: &Place<'_>,
    asked: &RackRequest,
    file: Option<&Path>,
    doing: &str,
) -> Result<(), Failure> {
    let Some(path) = file.filter(|path| path.as_os_str() != "-") else {
        let out = tokio::sync::Mutex::new(io::stdout());
        return place
            .remote
            .ask(async |client| client.rack_download(asked, &mut *out.lock().await).await)
            .await;
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(parent)
        .problem(format!("no file can be made in {}", parent.display()))?;
    fetch_into(place, asked, temporary.as_file()).await?;
    temporary.persist(path).problem(format!("{} cannot be written", path.display()))?;
    place.done(doing, None)
}

/// Writes an answer of the rack into a file, from its beginning.
pub(super) async fn fetch_into(place: &Place<'_>, asked: &RackRequest, file: &File) -> Result<(), Failure> {
    place
        .remote
        .ask(async |client| {
            let mut out = file;
            // A first try may have begun to write.
            out.set_len(0)
                .and_then(|()| out.seek(SeekFrom::Start(0)))
                .map_err(gateway_client::ClientError::Write)?;
            client.rack_download(asked, &mut out).await
        })
        .await
}

/// Sends a file, or standard input, and returns what the rack answers.
pub(super) async fn upload(
    place: &Place<'_>,
    asked: &RackRequest,
    file: Option<&Path>,
    doing: &'static str,
) -> Result<Vec<u8>, Failure> {
    let opened = match file.filter(|path| path.as_os_str() != "-") {
        Some(path) => File::open(path).problem(format!("{} cannot be read", path.display()))?,
        // Kept in a file, because it is sent again when the gateway wants a second factor.
        None => {
            let mut kept = tempfile::tempfile().problem("no temporary file can be made")?;
            io::copy(&mut io::stdin().lock(), &mut kept).problem("standard input cannot be read")?;
            kept
        }
    };
    send(place, asked, &opened, doing).await
}

/// Sends a file from its beginning.
pub(super) async fn send(
    place: &Place<'_>,
    asked: &RackRequest,
    file: &File,
    doing: &'static str,
) -> Result<Vec<u8>, Failure> {
    let size_bytes = file.metadata().problem("the file cannot be read")?.len();
    place
        .remote
        .ask(async |client| {
            let mut source = file.try_clone().map_err(gateway_client::ClientError::Write)?;
            source.seek(SeekFrom::Start(0)).map_err(gateway_client::ClientError::Write)?;
            let mut progress = Progress::of(doing, size_bytes);
            let upload = Upload::new(source, Some(size_bytes)).telling(move |sent| progress.show(sent));
            client.rack_upload(asked, upload).await.map(|body| body.to_vec())
        })
        .await
}

/// Writes an app to an archive.
pub(super) async fn export(place: &Place<'_>, app: &str, file: Option<&Path>) -> Result<(), Failure> {
    let path = file.filter(|path| path.as_os_str() != "-");
    if path.is_none() {
        place.keep_beside();
    }
    let Fetched { mut raw, value: known } = place.read_app(app).await?;
    without_hidden(&mut raw);
    let mut parts: Vec<(String, File)> = vec![("app.json".to_owned(), kept(&serde_json::to_vec(&raw)?)?)];
    place.step(&format!("Exporting app {}... OK", one_line(app)))?;
    if !known.release.is_empty() {
        let release = releases::fetched(place, app, &known.release).await?.value;
        parts.push(("env".to_owned(), kept(release.env.as_bytes())?));
        place.step("Exporting env... OK")?;
        if !release.build.is_empty() {
            let build = empty()?;
            let name = format!("{}.tgz", release.build);
            fetch_into(place, &RackRequest::get(&["apps", app, "builds", &name]), &build).await?;
            parts.push(("build.tgz".to_owned(), build));
            place.step(&format!("Exporting build {}... OK", one_line(&release.build)))?;
        }
    }
    let resources: Vec<Resource> = place.fetch(&RackRequest::get(&["apps", app, "resources"])).await?.value;
    for resource in resources {
        let data = empty()?;
        let asked = RackRequest::get(&["apps", app, "resources", &resource.name, "data"]);
        fetch_into(place, &asked, &data).await?;
        parts.push((format!("resources/{}.tgz", resource.name), data));
        place.step(&format!("Exporting resource {}... OK", one_line(&resource.name)))?;
    }
    match path {
        Some(path) => {
            let parent =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let temporary = tempfile::NamedTempFile::new_in(parent)
                .problem(format!("no file can be made in {}", parent.display()))?;
            write_archive(temporary.as_file(), parts).problem("the archive cannot be written")?;
            temporary.persist(path).problem(format!("{} cannot be written", path.display()))?;
            place.done("Packaging export", None)
        }
        None => write_archive(io::stdout(), parts).problem("the archive cannot be written"),
    }
}

/// Parameters that a v2 rack hides would be set to what it shows in their place.
fn without_hidden(app: &mut Value) {
    let parameters = app.get_mut("parameters").and_then(Value::as_object_mut);
    if let Some(parameters) = parameters {
        parameters.retain(|_, value| value.as_str() != Some("****"));
    }
}

fn empty() -> Result<File, Failure> {
    tempfile::tempfile().problem("no temporary file can be made")
}

fn kept(bytes: &[u8]) -> Result<File, Failure> {
    let mut file = empty()?;
    file.write_all(bytes).problem("a temporary file cannot be written")?;
    Ok(file)
}

fn write_archive(out: impl Write, parts: Vec<(String, File)>) -> io::Result<()> {
    let mut builder = Builder::new(GzEncoder::new(out, Compression::default()));
    for (name, mut file) in parts {
        file.seek(SeekFrom::Start(0))?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(file.metadata()?.len());
        builder.append_data(&mut header, name, file)?;
    }
    builder.into_inner()?.finish()?.flush()
}

/// What an export holds.
#[derive(Default)]
struct Exported {
    app: App,
    env: Option<String>,
    build: Option<File>,
    resources: Vec<(String, File)>,
}

/// Reads an export. Whatever else is in it is left alone, and nothing is unpacked by its name.
fn read_archive(source: impl Read) -> Result<Exported, Failure> {
    let cannot = "the export cannot be read";
    let mut archive = Archive::new(GzDecoder::new(source));
    let mut exported = Exported::default();
    let mut has_app = false;
    for entry in archive.entries().problem(cannot)? {
        let mut entry = entry.problem(cannot)?;
        let name = entry.path().problem(cannot)?.to_string_lossy().trim_start_matches("./").to_owned();
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        match name.as_str() {
            "app.json" | "env" => {
                let mut text = String::new();
                (&mut entry).take(MOST_DOCUMENT_BYTES + 1).read_to_string(&mut text).problem(cannot)?;
                if text.len() as u64 > MOST_DOCUMENT_BYTES {
                    let what = format!("{name} in the export has more than {MOST_DOCUMENT_BYTES} bytes");
                    return Err(Failure::new(Exit::Failed, what));
                }
                if name == "env" {
                    exported.env = Some(text);
                } else {
                    exported.app = serde_json::from_str(&text).problem(cannot)?;
                    has_app = true;
                }
            }
            "build.tgz" => exported.build = Some(copied(&mut entry)?),
            _ => {
                if let Some(resource) = name.strip_prefix("resources/") {
                    // So the official client calls it, whatever it is.
                    let resource = resource.strip_suffix(".tgz").unwrap_or(resource);
                    exported.resources.push((resource.to_owned(), copied(&mut entry)?));
                }
            }
        }
    }
    if has_app {
        return Ok(exported);
    }
    Err(Failure::new(Exit::Usage, "this is no export of an app").hint("`rack-gateway apps export` makes one"))
}

fn copied(source: &mut impl Read) -> Result<File, Failure> {
    let mut file = empty()?;
    io::copy(source, &mut file).problem("the export cannot be read")?;
    Ok(file)
}

/// Makes an app of an export.
pub(super) async fn import(place: &Place<'_>, app: &str, file: Option<&Path>) -> Result<(), Failure> {
    let exported = match file.filter(|path| path.as_os_str() != "-") {
        Some(path) => read_archive(File::open(path).problem(format!("{} cannot be read", path.display()))?)?,
        None => read_archive(io::stdin().lock())?,
    };
    let generation = Some(&exported.app.generation).filter(|generation| !generation.is_empty());
    let asked = RackRequest::post(&["apps"]).form("name", Some(app)).form("generation", generation);
    let _made: App = place.change(&asked).await?;
    until_made(place, app).await?;
    place.step(&format!("Creating app {}... OK", one_line(app)))?;
    let mut release = None;
    if let Some(build) = &exported.build {
        let asked = RackRequest::post(&["apps", app, "builds", "import"]);
        let made: Build = serde_json::from_slice(&send(place, &asked, build, "Importing build").await?)
            .problem("the rack's answer is not understood")?;
        place.step(&format!("Importing build... OK, {}", one_line(&made.release)))?;
        release = Some(made.release);
    }
    if let Some(env) = &exported.env {
        let asked = RackRequest::post(&["apps", app, "releases"]).form("env", Some(env));
        let made: Release = place.change(&asked).await?;
        place.step(&format!("Importing env... OK, {}", one_line(&made.id)))?;
        release = Some(made.id);
    }
    if let Some(release) = &release {
        place.order(&RackRequest::post(&["apps", app, "releases", release, "promote"])).await?;
        until_made(place, app).await?;
        super::promote::demand(place, app, release).await?;
        place.step(&format!("Promoting {}... OK", one_line(release)))?;
    }
    for (name, data) in &exported.resources {
        let asked = RackRequest::put(&["apps", app, "resources", name, "data"]);
        send(place, &asked, data, "Importing resource").await?;
        place.step(&format!("Importing resource {}... OK", one_line(name)))?;
    }
    let parameters: Vec<(String, String)> = exported.app.parameters.unwrap_or_default().into_iter().collect();
    if !parameters.is_empty() {
        let text = super::place::map_text(&parameters);
        place.order(&RackRequest::put(&["apps", app]).form("parameters", Some(text))).await?;
        until_made(place, app).await?;
    }
    place.done(&format!("Importing {app}"), release.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_is_read_again() {
        let mut bytes = Vec::new();
        let parts = vec![
            ("app.json".to_owned(), kept(br#"{"name":"web","generation":"3"}"#).unwrap()),
            ("env".to_owned(), kept(b"A=1").unwrap()),
            ("resources/db.tgz".to_owned(), kept(b"dump").unwrap()),
        ];
        write_archive(&mut bytes, parts).unwrap();
        let exported = read_archive(bytes.as_slice()).unwrap();
        assert_eq!((exported.app.generation.as_str(), exported.env.as_deref()), ("3", Some("A=1")));
        assert!(exported.build.is_none());
        assert_eq!(exported.resources[0].0, "db");
    }

    #[test]
    fn what_is_no_export_is_refused() {
        let mut bytes = Vec::new();
        write_archive(&mut bytes, vec![("other".to_owned(), kept(b"x").unwrap())]).unwrap();
        assert!(read_archive(bytes.as_slice()).is_err());
        assert!(read_archive(&b"no gzip"[..]).is_err());
    }

    #[test]
    fn what_a_rack_hides_is_not_exported() {
        let mut app = serde_json::json!({ "parameters": { "A": "1", "B": "****" } });
        without_hidden(&mut app);
        assert_eq!(app, serde_json::json!({ "parameters": { "A": "1" } }));
    }
}
