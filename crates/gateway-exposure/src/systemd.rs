//! From a manifest to systemd units: a sidecar for each service, and a drop-in that keeps the service on loopback.
//!
//! Machines have no networks of two. Instead the kernel refuses a service every port but its own, and every address
//! but loopback (`SocketBindDeny`, `IPAddressDeny`; systemd 250 or later).

use std::collections::BTreeMap;

use gateway_pki::Transport;

use crate::compose::{Place, command};
use crate::manifest::{Manifest, ManifestFault, Service};

/// A file below `/etc/systemd/system`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unit {
    /// Its path there.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The units of a manifest's services, on one machine. The gateway's own is in `packaging/systemd`.
///
/// # Errors
/// [`ManifestFault::Service`] when two of them would listen on one port: here all share the machine's ports.
pub fn units(manifest: &Manifest) -> Result<Vec<Unit>, ManifestFault> {
    let mut taken = BTreeMap::new();
    let mut units = Vec::new();
    for (name, service) in &manifest.services {
        let guarded = service.guarded().map(|one| one.port);
        let ways = service.egress.iter().map(|(own, _to)| *own);
        let own = guarded.into_iter().chain(service.forward).chain(ways).map(|port| (port, Transport::Tcp));
        for port in own.chain(service.external().map(|one| (one.port, one.transport))) {
            if let Some(other) = taken.insert(port, name) {
                return Err(ManifestFault::Service {
                    service: name.clone(),
                    what: format!("port {} is `{other}`'s on the same machine: give each its own", port.0),
                });
            }
        }
        if service.has_sidecar() {
            let text = sidecar(manifest, name, service);
            units.push(Unit { path: format!("{name}-sidecar.service"), text });
        }
        units.push(Unit { path: format!("{name}.service.d/10-zone.conf"), text: confined(name, service) });
    }
    Ok(units)
}

fn sidecar(manifest: &Manifest, name: &str, service: &Service) -> String {
    let command = command(manifest, name, service, Place::Systemd).join(" \\\n    ");
    format!(
        "# Made by `rack-gateway zone compose --systemd`; change the manifest instead.
# The join token is good once: rack-gateway zone join-token {name} > /etc/rack-gateway/credentials/{name}-join-token
# RACK_GATEWAY_HOST, and NAME_HOST for each way out, are in /etc/rack-gateway/zone.env.

[Unit]
Description=Trust zone sidecar of {name}
Wants=network-online.target
After=network-online.target
Before={name}.service

[Service]
Type=exec
DynamicUser=true
ExecStart=/usr/bin/rack-gateway {command}
EnvironmentFile=/etc/rack-gateway/zone.env
LoadCredential=join-token:/etc/rack-gateway/credentials/{name}-join-token
StateDirectory=rack-gateway/{name}
StateDirectoryMode=0700
UMask=0077
Restart=on-failure
RestartSec=2s
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=true
PrivateTmp=true
PrivateDevices=true
ProtectProc=invisible
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectControlGroups=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=true
LockPersonality=true
MemoryDenyWriteExecute=true
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"
    )
}

fn confined(name: &str, service: &Service) -> String {
    let mut lines = vec![
        "# Made by `rack-gateway zone compose --systemd`; change the manifest instead.".to_owned(),
        format!("# What {name} may listen on, and whom it reaches."),
        String::new(),
        "[Service]".to_owned(),
        "SocketBindDeny=any".to_owned(),
    ];
    if let Some(port) = service.forward {
        lines.push(format!("SocketBindAllow=tcp:{port}"));
    }
    lines.extend(
        service.external().map(|one| format!("SocketBindAllow={}:{}", one.transport.name(), one.port)),
    );
    // Who is reached from outside answers there.
    if !service.outbound && service.external().next().is_none() {
        lines.push("IPAddressDeny=any".to_owned());
        lines.push("IPAddressAllow=localhost".to_owned());
    }
    lines.join("\n") + "\n"
}
