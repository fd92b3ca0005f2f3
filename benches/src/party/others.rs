//! Who the gateway is compared with.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Party, free_port, program};

/// The rack that everybody stands in front of.
pub(crate) fn upstream() -> Result<Party> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["upstream", &format!("127.0.0.1:{port}")]);
    Party::start("direct", port, &mut command, None)
}

/// A bare hop made of the gateway's own engine.
pub(crate) fn hop(upstream: u16) -> Result<Party> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["hop", &format!("127.0.0.1:{port}"), &format!("127.0.0.1:{upstream}")]);
    Party::start("bare hyper hop", port, &mut command, None)
}

/// nginx with two workers and kept connections upstream, as its documentation asks for; `asks`: each request is
/// first asked about at the upstream, which answers at once (`auth_request`).
pub(crate) fn nginx(upstream: u16, asks: bool) -> Result<Party> {
    let (port, directory) = (free_port()?, tempfile::tempdir()?);
    let path = directory.path().to_str().context("the temporary directory has an odd name")?;
    let auth = if asks { "auth_request /_auth;" } else { "" };
    let configuration = format!(
        "daemon off; worker_processes 2; pid {path}/pid; error_log {path}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 0;
  client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;
  fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream rack {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      {auth}
      proxy_pass http://rack; proxy_http_version 1.1; proxy_request_buffering off;
      proxy_set_header Connection $connection_upgrade; proxy_set_header Upgrade $http_upgrade;
    }}
    location = /_auth {{
      internal; proxy_pass http://rack/auth; proxy_http_version 1.1;
      proxy_set_header Connection ''; proxy_pass_request_body off; proxy_set_header Content-Length '';
    }}
  }}
}}
"
    );
    let file = directory.path().join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = Command::new(program("nginx")?);
    command.args(["-p", path, "-e", "error.log", "-c"]).arg(&file);
    let name = if asks { "nginx auth_request" } else { "nginx proxy_pass" };
    Party::start(name, port, &mut command, Some(directory))
}

/// Caddy, which asks the upstream about each request (`forward_auth`).
pub(crate) fn caddy(upstream: u16) -> Result<Party> {
    let (port, directory) = (free_port()?, tempfile::tempdir()?);
    let file = directory.path().join("Caddyfile");
    let configuration = format!(
        "{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
}}
http://:{port} {{
  bind 127.0.0.1
  forward_auth 127.0.0.1:{upstream} {{
    uri /auth
  }}
  reverse_proxy 127.0.0.1:{upstream}
}}
"
    );
    fs::write(&file, configuration)?;
    let mut command = Command::new(program("caddy")?);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    command.env("HOME", directory.path()).env("XDG_DATA_HOME", directory.path());
    Party::start("Caddy forward_auth", port, &mut command, Some(directory))
}
