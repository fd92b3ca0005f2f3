//! What a rack is called.

use super::*;
use crate::racks::Book;

fn book(name: &str, url: &str) -> Book {
    let mut book = Book::default();
    book.put(Rack {
        name: name.to_owned(),
        url: url.parse().unwrap(),
        gateway_id: "g".to_owned(),
        email: "ann@example.com".to_owned(),
        kept: None,
        ca_file: None,
        checkpoint: None,
        promises: Vec::new(),
    })
    .unwrap();
    book
}

#[test]
fn a_rack_is_called_what_its_gateway_says_when_that_is_a_name() {
    let address: GatewayAddress = "https://g.example.com:8443".parse().unwrap();
    let none = Book::default();
    assert_eq!(free_name(&none, "prod", &address), "prod");
    for no_name in ["", "-rf", "a b", "\u{1b}[2J", "../../x y", &"x".repeat(65)] {
        assert_eq!(free_name(&none, no_name, &address), "g.example.com:8443", "{no_name}");
    }
    assert_eq!(free_name(&book("prod", "https://other"), "prod", &address), "g.example.com:8443");
    let taken = book("g.example.com:8443", "https://other");
    assert_eq!(free_name(&taken, "", &address), "https://g.example.com:8443");
}

#[test]
fn a_typed_name_is_looked_at() {
    assert!(checked_name("org/prod-1.eu").is_ok());
    assert_eq!(checked_name("--name").unwrap_err().exit(), Exit::Usage);
}
