//! Values of every type and class, from the row alone.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::string::string_regex;

use crate::method::Method;
use crate::parameter::{ParameterSpec, Place, ValueType, write_map};
use crate::request::{RackRequest, typed};
use crate::table::Row;
use crate::template::{PathClass, WHOLE_BUCKET};
use std::sync::Arc;

fn regex(pattern: &str) -> BoxedStrategy<String> {
    string_regex(pattern).unwrap().boxed()
}

fn without_dot_segments(pattern: &str) -> BoxedStrategy<String> {
    let dotless = |value: &String| value.split('/').all(|segment| !matches!(segment, "." | ".."));
    regex(pattern).prop_filter("dot segments are refused", dotless).boxed()
}

fn path_value(class: PathClass) -> BoxedStrategy<String> {
    match class {
        PathClass::App | PathClass::Service => {
            regex("[A-Za-z0-9][A-Za-z0-9_-]{0,20}").prop_filter("reserved", |app| app != WHOLE_BUCKET).boxed()
        }
        // An id that ends in .tgz belongs to the export row, which stands first.
        PathClass::Id => regex("[A-Za-z0-9][A-Za-z0-9._+=,@-]{0,20}")
            .prop_filter("ends in .tgz", |id| !id.ends_with(".tgz"))
            .boxed(),
        PathClass::Pid | PathClass::Name | PathClass::Resource => regex("[A-Za-z0-9][A-Za-z0-9._-]{0,20}"),
        PathClass::Snapshot => regex("[A-Za-z0-9][A-Za-z0-9:._-]{0,20}"),
        PathClass::Key => {
            without_dot_segments("[A-Za-z0-9._:@+=,~() -]{1,9}(/[A-Za-z0-9._:@+=,~() -]{1,9}){0,3}")
        }
        PathClass::Server => without_dot_segments("[A-Za-z0-9._:/@~-]{1,40}"),
        PathClass::Host => prop_oneof![
            without_dot_segments("[A-Za-z0-9._-]{1,30}"),
            any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]")),
        ]
        .boxed(),
        PathClass::Port => (1u16..).prop_map(|port| port.to_string()).boxed(),
        PathClass::Anything => without_dot_segments("[ -$&-:<-\\[\\]-~]{1,20}"),
    }
}

fn value(row: &Row, spec: &ParameterSpec) -> BoxedStrategy<String> {
    if spec.name == "app" || row.operation.action.as_str() == "convox:app:create" && spec.name == "name" {
        return path_value(PathClass::App);
    }
    match (spec.value_type, spec.place) {
        (ValueType::Bool, _) => any::<bool>().prop_map(|value| value.to_string()).boxed(),
        (ValueType::Int, _) => (-999_999_999i64..1_000_000_000).prop_map(|value| value.to_string()).boxed(),
        (ValueType::Duration, _) => regex("0|-?([0-9]{1,3}(\\.[0-9]{1,3})?(ns|us|ms|s|m|h)){1,3}"),
        (ValueType::Time, _) => {
            regex("20[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9])\\.[01][0-9][0-5][0-9][0-5][0-9]\\.[0-9]{9}")
        }
        (ValueType::Map, place) => map(usize::from(place == Place::Header)),
        (ValueType::Json, _) => prop_oneof![
            Just("{}".to_owned()),
            Just(r#"{"min":1,"triggers":[{"type":"cpu","threshold":70.5}]}"#.to_owned())
        ]
        .boxed(),
        (ValueType::List | ValueType::Text, Place::Header) => regex("[!-~]([ -~\t]{0,20}[!-~])?"),
        (ValueType::List | ValueType::Text, Place::Form) => regex("[ -~\n\r\té👍]{0,40}"),
        (ValueType::List | ValueType::Text, Place::Query | Place::Path) => regex("[ -~é👍]{0,40}"),
    }
}

fn map(at_least: usize) -> BoxedStrategy<String> {
    let pair = ("k[ -~é]{0,6}", "[ -~\n\té]{0,12}");
    vec(pair, at_least..4)
        .prop_map(|pairs| {
            let numbered: Vec<_> = pairs
                .into_iter()
                .enumerate()
                .map(|(at, (name, value))| (format!("{name}{at}"), value))
                .collect();
            write_map(&numbered)
        })
        .boxed()
}

fn given(row: &Row, spec: &ParameterSpec) -> BoxedStrategy<Option<String>> {
    match (spec.required, spec.ignored || spec.name == "ack_by") {
        (_, true) => Just(None).boxed(),
        (true, false) => value(row, spec).prop_map(Some).boxed(),
        (false, false) => proptest::option::of(value(row, spec)).boxed(),
    }
}

/// Requests of `row`, each as the parser would make it.
pub(super) fn requests(row: &Arc<Row>) -> BoxedStrategy<RackRequest> {
    let path: Vec<_> = row.template.slots().map(|slot| path_value(slot.class)).collect();
    let others: Vec<_> = row.parameters.iter().map(|spec| given(row, spec)).collect();
    let method: BoxedStrategy<Method> = proptest::sample::select(row.method.allowed()).boxed();
    let row = Arc::clone(row);
    (method, path, others)
        .prop_map(move |(method, path, others)| {
            let names = row.template.slots().map(|slot| slot.name.clone());
            let path = names.zip(path).collect();
            let identified = crate::Identified::new(Arc::clone(&row), method, path);
            let mut request = identified.complete_with(
                row.parameters
                    .iter()
                    .zip(others)
                    .filter_map(|(spec, value)| value.map(|value| typed(&row, spec, &value).unwrap())),
            );
            request.parameters.shrink_to_fit();
            request
        })
        .boxed()
}
