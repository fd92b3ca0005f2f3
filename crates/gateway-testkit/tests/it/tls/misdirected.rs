//! HTTP/2 over TLS, and requests for another host than the handshake was about (B8, Pomerium #2150).

use gateway_audit::End;
use gateway_testkit::eventually;
use gateway_types::Role;
use http::Request;
use hyper::body::Bytes;

use super::client::{Line, handshake};
use super::{NAME, Place};

const OTHER: &str = "other.example.test";

/// The status of one request over HTTP/2.
async fn status(sender: &h2::client::SendRequest<Bytes>, host: &str, token: &str) -> u16 {
    let request = Request::get(format!("https://{host}/api/v1/rack-proxy/apps/myapp"))
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .unwrap();
    let mut sender = sender.clone().ready().await.unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    response.await.unwrap().status().as_u16()
}

#[tokio::test]
async fn b8_a_connection_is_for_the_host_of_its_handshake() {
    let place = Place::new();
    place.write("tls", &[NAME, OTHER]);
    let gateway = place.gateway(&["tls"]).start().await;
    let token = gateway.token(Role::Viewer).to_owned();
    let mut options = place.client();
    options.protocols = vec![b"h2".to_vec()];
    let stream = handshake(&options.config(), gateway.addr(), NAME).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    assert_eq!(status(&sender, NAME, &token).await, 200);
    assert_eq!(status(&sender, &NAME.to_uppercase(), &token).await, 200);
    // The certificate is good for it too, and browsers would share the connection.
    assert_eq!(status(&sender, OTHER, &token).await, 421);
    assert_eq!(status(&sender, &gateway.addr().to_string(), &token).await, 421);
    assert_eq!(status(&sender, NAME, &token).await, 200, "the connection stays good for its own host");

    let mut one = Line::open(&place.client().config(), gateway.addr(), NAME).await.unwrap();
    let credential = format!("Bearer {token}");
    let headers = [("authorization", credential.as_str())];
    let path = "/api/v1/rack-proxy/apps/myapp";
    let answer = one.ask_at(OTHER, "GET", path, &headers, "").await.unwrap();
    assert_eq!(answer.status.as_u16(), 421, "{}", answer.body);
    assert_eq!(one.ask_at(NAME, "GET", path, &headers, "").await.unwrap().status.as_u16(), 200);

    let reached = gateway.rack.requests().iter().filter(|request| request.target == "/apps/myapp").count();
    assert_eq!(reached, 4);
    eventually("a refusal in the log", || async {
        let events = gateway.events().await;
        let is_it =
            |event: &gateway_audit::Event| event.status == Some(421) && event.end == Some(End::Refused);
        events.iter().any(|(_, event)| is_it(event)).then_some(())
    })
    .await;
    drop(sender);
    connection.abort();
    gateway.finish().await;
    crate::corpus::count("B8", 3);
}
