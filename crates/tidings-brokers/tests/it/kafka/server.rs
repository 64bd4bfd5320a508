//! A Kafka server of a test's own, in a folder of its own.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;
use tidings_brokers::kafka::{Kafka, Options};
use tidings_core::Clock;
use tidings_core::broker::Broker;
use tidings_core::log::{Found, Start};
use tokio::time::Instant;

pub use crate::words::*;

/// A server that ends with the test: broker and controller in one process (KRaft).
pub struct Server {
    process: Option<Child>,
    jars: PathBuf,
    port: u16,
    folder: TempDir,
}

/// How the port for clients speaks.
pub enum Listener {
    Plain,
    /// It asks for a user and its password: this one.
    Sasl(&'static str, &'static str),
    /// It shows a certificate, which is in a PEM file together with its key.
    Tls(PathBuf),
}

/// Until a server that was started answers, or a broker is ready.
const START_MAX: Duration = Duration::from_secs(40);
/// A short life, and little memory.
const JAVA: [&str; 5] = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

impl Server {
    /// One that runs. None where there is no server here.
    pub fn start() -> Option<Self> {
        let mut server = Self::stopped(&Listener::Plain)?;
        server.begin();
        Some(server)
    }

    /// One that does not run yet.
    pub fn stopped(listener: &Listener) -> Option<Self> {
        let server = Self::new()?;
        let controller = free_port();
        server.configure(listener, 1, controller, &format!("1@127.0.0.1:{controller}"));
        server.format();
        Some(server)
    }

    /// Three of one cluster, which do not run yet.
    pub fn cluster() -> Option<Vec<Self>> {
        let servers: Vec<_> = (0..3).map(|_| Self::new()).collect::<Option<_>>()?;
        let controllers: Vec<_> = servers.iter().map(|_| free_port()).collect();
        let voters = (1..).zip(&controllers).map(|(id, port)| format!("{id}@127.0.0.1:{port}"));
        let voters = voters.collect::<Vec<_>>().join(",");
        for (id, (server, controller)) in (1..).zip(servers.iter().zip(controllers)) {
            server.configure(&Listener::Plain, id, controller, &voters);
            server.format();
        }
        Some(servers)
    }

    fn new() -> Option<Self> {
        let (jars, folder) = (jars()?, tempfile::tempdir().unwrap());
        Some(Server { process: None, jars, port: free_port(), folder })
    }

    fn configure(&self, listener: &Listener, id: usize, controller: u16, voters: &str) {
        let (port, store) = (self.port, self.store());
        let (protocol, more) = match listener {
            Listener::Plain => ("PLAINTEXT", String::new()),
            Listener::Sasl(user, password) => {
                let module = "org.apache.kafka.common.security.plain.PlainLoginModule required";
                let own = format!("username=\"{user}\" password=\"{password}\" user_{user}=\"{password}\"");
                let more = format!(
                    "sasl.enabled.mechanisms=PLAIN\nsasl.mechanism.inter.broker.protocol=PLAIN\n\
                     listener.name.clients.plain.sasl.jaas.config={module} {own};\n"
                );
                ("SASL_PLAINTEXT", more)
            }
            Listener::Tls(pem) => {
                let keys = "ssl.keystore.type=PEM\nssl.truststore.type=PEM\n";
                let more = format!(
                    "{keys}ssl.keystore.location={}\nssl.truststore.location={}\n",
                    pem.display(),
                    pem.with_extension("ca").display()
                );
                ("SSL", more)
            }
        };
        let properties = format!(
            "process.roles=broker,controller\nnode.id={id}\ncontroller.quorum.voters={voters}\n\
             listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             listener.security.protocol.map=CLIENTS:{protocol},CONTROLLER:PLAINTEXT\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=CLIENTS\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
             auto.create.topics.enable=false\nlog.cleaner.dedupe.buffer.size=4194304\n\
             num.network.threads=1\nnum.io.threads=2\nbackground.threads=1\n\
             broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=500\n{more}",
            store.display()
        );
        std::fs::write(self.properties(), properties).unwrap();
    }

    /// What a store begins with.
    pub fn format(&self) {
        let mut format = self.java("kafka.tools.StorageTool");
        format.args(["format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"]).arg(self.properties());
        let done = format.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn java(&self, class: &str) -> Command {
        let mut java = Command::new("java");
        java.args(JAVA).arg("-cp").arg(self.jars.join("*")).arg(class).stdin(Stdio::null());
        java
    }

    fn properties(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    /// Starts it, and waits until it answers.
    pub fn begin(&mut self) {
        self.spawn();
        self.wait();
    }

    /// Starts it. One of a cluster answers when most of the others do.
    pub fn spawn(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log"));
        let mut server = self.java("kafka.Kafka");
        server.arg(self.properties()).stdout(Stdio::null()).stderr(log.unwrap());
        self.process = Some(server.spawn().unwrap());
    }

    /// Waits until it answers.
    pub fn wait(&self) {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < START_MAX, "the server does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// `kill -STOP` or `kill -CONT`.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Where it stores.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()).create().unwrap()
    }

    /// Makes a topic, as an administrator does.
    pub async fn make_topic(&self, name: &str, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(name, 2, TopicReplication::Fixed(1));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made = self.admin().create_topics([&topic], &AdminOptions::new()).await.unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
    }

    /// Deletes one, with all that it has.
    pub async fn delete_topic(&self, name: &str) {
        let done = self.admin().delete_topics(&[name], &AdminOptions::new()).await.unwrap();
        done.into_iter().for_each(|done| drop(done.unwrap()));
    }

    /// Removes the oldest records of its two partitions, as retention does.
    pub async fn delete_records(&self, name: &str, before: i64) {
        for partition in 0..2 {
            let mut places = TopicPartitionList::new();
            places.add_partition_offset(name, partition, Offset::Offset(before)).unwrap();
            // One of them has fewer.
            let _ = self.admin().delete_records(&places, &AdminOptions::new()).await.unwrap();
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// This server, and few partitions.
    pub fn options(&self) -> Options {
        Options { partitions: 2, ..Options::new(vec![self.address()]) }
    }

    /// A broker of it, which may not be ready.
    pub fn broker(&self) -> Kafka {
        open(&self.options())
    }

    /// A broker of it that is ready.
    pub async fn ready(&self) -> Kafka {
        let broker = self.broker();
        until_ready(&broker).await;
        broker
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The server that `scripts/setup-tests` installs.
fn jars() -> Option<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tests");
    let named = std::env::var_os("KAFKA_JARS").map(PathBuf::from);
    let jars = named.unwrap_or_else(|| tests.join("kafka"));
    let has_java = Command::new("java").arg("-version").output().is_ok_and(|said| said.status.success());
    if has_java && jars.read_dir().is_ok_and(|mut jars| jars.next().is_some()) {
        return Some(jars);
    }
    if let Ok(why) = std::fs::read_to_string(tests.join("no-kafka")) {
        let _ = writeln!(std::io::stderr(), "note: the Kafka broker is not tested: {why}");
        return None;
    }
    let missing = "there is no Kafka server, or no Java; run scripts/setup-tests";
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{missing}");
    let _ = writeln!(std::io::stderr(), "SKIP: {missing}");
    None
}

pub fn open(options: &Options) -> Kafka {
    Kafka::open(Clock::system(), options).unwrap()
}

/// What [`find`] finds, once a server that has come back takes questions again.
pub async fn settled(broker: &Kafka, name: &str, start: Start) -> Found {
    let began = Instant::now();
    loop {
        match broker.find(&channel(name), start, &RULES).await {
            Ok(found) => return found,
            Err(error) => assert!(began.elapsed() < START_MAX, "no answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
