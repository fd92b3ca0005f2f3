//! Processes and the files in them.

use super::{Answer, app_of};
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::{Body, Reply};
use crate::state::shapes::Process;
use crate::state::{RunProcess, State, now};

pub(crate) fn list(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    let wanted = |process: &&Process| {
        let release = call.query("release").filter(|text| !text.is_empty());
        let service = call.query("service").filter(|text| !text.is_empty());
        release.is_none_or(|id| process.release == id) && service.is_none_or(|name| process.name == name)
    };
    let processes: Vec<&Process> = app.processes.iter().filter(wanted).collect();
    Ok(Reply::json(&processes))
}

pub(crate) fn get(call: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(app_of(call, state)?.process(call.var("pid"))?))
}

pub(crate) fn stop(call: &Call, state: &mut State) -> Answer {
    let lively = state.lively;
    let pid = call.var("pid");
    let app = app_of(call, state)?;
    let position = app.processes.iter().position(|process| process.id == pid);
    let stopped = position.map(|position| app.processes.remove(position));
    let stopped = stopped.ok_or_else(|| Refusal::ProcessNotFound(pid.to_owned()))?;
    if let Some(service) = stopped.service.filter(|_| lively) {
        app.add_process(&service);
    }
    Ok(Reply::ok())
}

pub(crate) fn run(call: &Call, state: &mut State) -> Answer {
    let service = call.var("service").to_owned();
    app_of(call, state)?.service(&service)?;
    let header = |name: &str| call.header(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let run = RunProcess {
        number: state.next_run(),
        service,
        command: header("Command").unwrap_or_default(),
        release: header("Release"),
    };
    if let Some(release) = &run.release {
        app_of(call, state)?.release(release)?;
    }
    Ok(Reply::json(&app_of(call, state)?.run(run)))
}

pub(crate) fn download(call: &Call, state: &mut State) -> Answer {
    let process = app_of(call, state)?.process(call.var("pid"))?;
    let file = call.required("file")?;
    let content = format!("hello from {}\n", process.id);
    let tar = tar(file.trim_start_matches('/'), content.as_bytes(), now().micros() / 1_000_000);
    Ok(Reply::stream(Body::Bytes(tar), Some("application/octet-stream")))
}

pub(crate) fn upload(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    let pid = app.process(call.var("pid"))?.id.clone();
    app.copied.push((pid, call.body.clone()));
    Ok(Reply::ok())
}

pub(crate) fn remove_files(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?.process(call.var("pid"))?;
    call.required("files")?;
    Ok(Reply::ok())
}

/// A tar archive with one file (POSIX.1-1988 ustar), as Go's writer makes it.
fn tar(name: &str, content: &[u8], modified: i64) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| {
        for (cell, byte) in header.iter_mut().skip(at).zip(bytes) {
            *cell = *byte;
        }
    };
    put(0, name.as_bytes().get(..name.len().min(99)).unwrap_or_default());
    put(100, b"0000644\x000000000\x000000000\x00");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, format!("{modified:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\x000000000\x00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    for (cell, byte) in header.iter_mut().skip(148).zip(sum.bytes()) {
        *cell = byte;
    }
    header.extend_from_slice(content);
    let padded = header.len().next_multiple_of(512) + 1024;
    header.resize(padded, 0);
    header
}
