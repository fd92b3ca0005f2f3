//! An address as it is typed.

use gateway_client::{AddressFault, GatewayAddress};

use crate::failure::{Exit, Failure};

/// Reads the address of a gateway. A name without a scheme means https.
///
/// # Errors
/// When it is not one that a credential can be sent to.
pub(crate) fn typed_address(text: &str) -> Result<GatewayAddress, Failure> {
    let text = text.trim();
    let whole =
        if text.is_empty() || text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    whole.parse().map_err(|fault: AddressFault| {
        Failure::new(Exit::Usage, fault.to_string()).hint(match fault {
            AddressFault::Credential => {
                "give the token by RACK_GATEWAY_TOKEN or --token-file, and the address without it"
            }
            AddressFault::NotAUrl | AddressFault::Extra | AddressFault::Clear | AddressFault::Scheme => {
                "write the gateway's address, such as https://gateway.example.com"
            }
        })
    })
}
