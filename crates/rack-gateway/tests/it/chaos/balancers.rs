//! Balancers before the gateways, with the configuration that `docs/high-availability.md` recommends.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use gateway_testkit::eventually;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::site::{free_port, loopback};

/// A balancer that runs until it is dropped. Replies say in `X-Instance` who gave them.
pub(super) struct Balancer {
    pub(super) addr: SocketAddr,
    _process: Child,
    _directory: TempDir,
}

impl Balancer {
    /// nginx: whoever cannot be reached, or answers nothing, is passed over; what may be asked twice is.
    pub(super) async fn nginx(gateways: &[SocketAddr]) -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let place = directory.path().display();
        let servers: String =
            gateways.iter().map(|gateway| format!("server {gateway} max_fails=0; ")).collect();
        let configuration = format!(
            "pid {place}/nginx.pid; master_process off; daemon off;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off;\n\
               client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;\n\
               uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
               map $http_upgrade $connection_kind {{ default upgrade; '' close; }}\n\
               upstream gateways {{ {servers}}}\n\
               server {{ listen 127.0.0.1:{port};\n\
                 location / {{ proxy_pass http://gateways; proxy_http_version 1.1;\n\
                   proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;\n\
                   proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_kind;\n\
                   proxy_next_upstream error timeout http_502 http_503; proxy_connect_timeout 2s;\n\
                   proxy_read_timeout 600s; add_header X-Instance $upstream_addr always; }} }} }}\n"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(directory.path()).arg("-c").arg(file);
        Self::start(command, port, directory).await
    }

    /// Caddy, which asks each gateway four times a second how it is.
    pub(super) async fn caddy(gateways: &[SocketAddr]) -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let upstreams: Vec<String> = gateways.iter().map(ToString::to_string).collect();
        let configuration = format!(
            "{{\n\tadmin off\n\tauto_https off\n}}\nhttp://:{port} {{\n\tbind 127.0.0.1\n\
             \treverse_proxy {} {{\n\t\tlb_policy round_robin\n\t\tlb_try_duration 5s\n\
             \t\thealth_uri /api/v1/health\n\t\thealth_interval 250ms\n\t\thealth_timeout 2s\n\
             \t\theader_down +X-Instance {{http.reverse_proxy.upstream.hostport}}\n\t}}\n}}\n",
            upstreams.join(" ")
        );
        let file = directory.path().join("Caddyfile");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(caddy());
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("HOME", directory.path()).env("XDG_DATA_HOME", directory.path());
        Self::start(command, port, directory).await
    }

    async fn start(mut command: Command, port: u16, directory: TempDir) -> Self {
        let log = directory.path().join("said");
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{error}; ./scripts/test installs it"));
        let addr = loopback(port);
        eventually("the balancer", async || TcpStream::connect(addr).await.ok().map(drop)).await;
        Self { addr, _process: process, _directory: directory }
    }
}

/// Where `scripts/test` puts it, or in the path.
fn caddy() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let installed = target.join("tools/caddy");
    if installed.exists() { installed } else { PathBuf::from("caddy") }
}
