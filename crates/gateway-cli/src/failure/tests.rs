//! How failures are told.

use std::io;

use gateway_app::AppError;
use gateway_server::StartError;
use gateway_store::StoreError;

use super::*;

#[test]
fn the_exit_codes_are_fixed() {
    let all = [Exit::Failed, Exit::Usage, Exit::NotSignedIn, Exit::Refused, Exit::Unreachable];
    assert_eq!(all.map(Exit::number), [1, 2, 3, 4, 5]);
}

#[test]
fn a_failure_tells_what_why_and_what_to_do() {
    let address = "127.0.0.1:8443".parse().unwrap();
    let source = io::Error::from(io::ErrorKind::AddrInUse);
    let failure =
        Err::<(), _>(StartError::Listen { address, source }).problem("the demo cannot start").unwrap_err();
    insta::assert_snapshot!(failure.to_string(), @"
    error: the demo cannot start
      because: cannot listen on 127.0.0.1:8443; another program may use the port, or a lower port may need rights
      because: address in use
    hint: stop the other program, or take other ports with --port and --admin-port (0 takes any free one)
    ");
    assert_eq!(failure.exit(), Exit::Failed);
    assert_eq!(failure.sentence().lines().count(), 1);
}

#[test]
fn nothing_is_said_twice() {
    let failure = Failure::from(AppError::Store(StoreError::WrongSecretKey));
    assert_eq!(failure.to_string().matches("APP_SECRET_KEY").count(), 1);
    let fault = gateway_audit::Fault::LeafHash { index: 7 };
    let failure = Failure::from(AppError::Log(fault));
    assert_eq!(failure.to_string().matches("entry 7").count(), 1);
}

#[test]
fn a_store_that_does_not_answer_is_a_gateway_that_does_not() {
    let closed = || StoreError::AuditClosed;
    assert_eq!(Failure::from(closed()).exit(), Exit::Unreachable);
    assert_eq!(Failure::from(AppError::Store(closed())).exit(), Exit::Unreachable);
    assert_eq!(Failure::from(StartError::Store(closed())).exit(), Exit::Unreachable);
    assert_eq!(Failure::from(StoreError::NotFound).exit(), Exit::Failed);
}

#[test]
fn a_failure_cannot_steer_a_terminal() {
    let failure = Failure::new(Exit::Failed, "no \u{1b}[31mred\u{7}".to_owned()).hint("ring \u{7}");
    assert!(!failure.to_string().chars().any(|c| c.is_control() && c != '\n'), "{failure}");
}

#[test]
fn a_reader_who_left_is_no_failure_to_tell() {
    let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
    assert!(failure.is_broken_pipe());
    assert!(!Failure::from(io::Error::from(io::ErrorKind::NotFound)).is_broken_pipe());
}
