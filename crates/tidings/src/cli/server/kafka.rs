//! The Kafka server that a run starts for its nodes: broker and controller in one process (KRaft).

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Server;
use crate::cli::Failure;

/// A short life, and little memory.
const JAVA: [&str; 5] = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

/// Starts one from a folder of jars at a free port, with its store in a folder.
///
/// # Errors
///
/// If there is no Java, or no such jars, or it does not start.
pub async fn start(jars: &Path, folder: &Path) -> anyhow::Result<Server> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let controller = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let (file, log, store) =
        (folder.join("kafka.properties"), folder.join("kafka.log"), folder.join("kafka"));
    let properties = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{controller}\n\
         listeners=CLIENTS://{address},CONTROLLER://{controller}\n\
         listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=CLIENTS\nlog.dirs={}\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\nauto.create.topics.enable=false\n\
         log.cleaner.dedupe.buffer.size=4194304\nnum.network.threads=2\nnum.io.threads=2\n\
         broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=500\n",
        store.display()
    );
    fs::write(&file, properties)?;
    let jars = jars.join("*");
    let java = move |class: &str, arguments: &[&str]| {
        let mut command = Command::new("java");
        command.args(JAVA).arg("-cp").arg(&jars).arg(class).args(arguments).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let format = java("kafka.tools.StorageTool", &["format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"]).output();
    if !format.as_ref().is_ok_and(|done| done.status.success()) {
        let why = format.map(|done| String::from_utf8_lossy(&done.stderr).trim().to_owned());
        let why = why.unwrap_or_else(|error: io::Error| error.to_string());
        let advice = "install Java 17 or newer, and name a folder with Kafka's jars by --kafka-jars";
        return Err(Failure::new(format!("Kafka cannot be started: {why}"), advice).into());
    }
    let spawn = move || {
        let log = File::options().create(true).append(true).open(&log)?;
        java("kafka.Kafka", &[]).stderr(log).spawn()
    };
    Server::start("Kafka server", address, spawn).await
}
