//! Services of an app and its resources.

use serde_json::{Value, json};

use super::budget::deprecated;
use super::{Answer, app_of};
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::{Body, Filler, Reply};
use crate::state::State;
use crate::state::shapes::Process;

pub(crate) fn list(call: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(&app_of(call, state)?.services))
}

pub(crate) fn manifest(call: &Call, state: &mut State) -> Answer {
    let service = app_of(call, state)?.service(call.var("service"))?;
    Ok(Reply::json(&json!({
        "name": service.name,
        "environment": [],
        "scale": {"count": service.count, "cpu": service.cpu, "memory": service.memory},
    })))
}

pub(crate) fn update(call: &Call, state: &mut State) -> Answer {
    let lively = state.lively;
    let numbers = ["count", "cpu", "memory", "gpu", "min", "max"].map(|name| call.int(name));
    let [count, cpu, memory, gpu, min, max] = numbers;
    let name = call.var("service");
    let app = app_of(call, state)?;
    let service = app.service(name)?;
    service.count = count?.unwrap_or(service.count);
    service.cpu = cpu?.unwrap_or(service.cpu);
    service.memory = memory?.unwrap_or(service.memory);
    service.gpu = gpu?.unwrap_or(service.gpu);
    service.min = min?.or(service.min);
    service.max = max?.or(service.max);
    if let Some(vendor) = call.param("gpu-vendor") {
        vendor.clone_into(&mut service.gpu_vendor);
    }
    // Behind the recordings nothing scales; in the demo processes come and go.
    if lively {
        let wanted = usize::try_from(service.count).unwrap_or_default().min(50);
        let of_service = |process: &Process| process.service.as_deref() == Some(name);
        while app.processes.iter().filter(|process| of_service(process)).count() < wanted {
            app.add_process(name);
        }
        while app.processes.iter().filter(|process| of_service(process)).count() > wanted {
            let last = app.processes.iter().rposition(of_service);
            last.map(|last| app.processes.remove(last));
        }
    }
    Ok(Reply::ok())
}

pub(crate) fn restart(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?.service(call.var("service"))?;
    Ok(Reply::ok())
}

/// `ok` for a service that is there, marked where `ack_by` was used.
fn accepted(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?.service(call.var("service"))?;
    Ok(deprecated(call, Reply::ok()))
}

pub(crate) fn scale_override(call: &Call, state: &mut State) -> Answer {
    call.required("active")?;
    accepted(call, state)
}

pub(crate) fn enable_triggers(call: &Call, state: &mut State) -> Answer {
    let opts = call.required("opts")?;
    serde_json::from_str::<Value>(opts).map_err(|_| Refusal::Invalid("opts"))?;
    accepted(call, state)
}

pub(crate) fn disable_triggers(call: &Call, state: &mut State) -> Answer {
    accepted(call, state)
}

pub(crate) fn set_threshold(call: &Call, state: &mut State) -> Answer {
    call.required("type")?;
    call.required("threshold")?.parse::<f64>().map_err(|_| Refusal::Invalid("threshold"))?;
    accepted(call, state)
}

pub(crate) fn resources(call: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(&app_of(call, state)?.resources))
}

pub(crate) fn resource(call: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(app_of(call, state)?.resource(call.var("name"))?))
}

pub(crate) fn export_data(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    let name = app.resource(call.var("name"))?.name.clone();
    let body = match app.dumps.get(&name) {
        None => Body::Bytes(format!("-- dump of {name}\nSELECT 1;\n").into_bytes()),
        Some(dump) => match &dump.bytes {
            Some(bytes) => Body::Bytes(bytes.clone()),
            None => Body::Filler(dump.length, Filler::Zeros),
        },
    };
    Ok(Reply::stream(body, None))
}

pub(crate) fn import_data(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    let name = app.resource(call.var("name"))?.name.clone();
    app.dumps.insert(name, call.body.clone());
    Ok(Reply::ok())
}

pub(crate) fn snapshot_complete(_: &Call, _: &mut State) -> Answer {
    Ok(Reply::json(&true))
}

pub(crate) fn protect_database(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?;
    Ok(Reply::json(&call.var("snapshot")))
}
