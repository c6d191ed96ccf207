fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let flags = barrelman::config::Flags::default();
    let resolved = match barrelman::config::load(flags) {
        Ok(r) => r,
        Err(e) => {
            eprintln!("{e}");
            return;
        }
    };
    let rt = tokio::runtime::Runtime::new().unwrap();
    rt.block_on(async {
        let mut running = barrelman::app::Running::start(&resolved.settings, std::sync::Arc::new([]), "forward").unwrap();
        let mut feed = running.feed.subscribe();
        loop { tokio::select! {
            item = feed.recv() => { use barrelman::feed::Feed; match item {
                Ok(Feed::Event { seq, event }) => eprintln!("{seq:6} {} {:8} {:9} {:?} {} | {} {}", event.timestamp.strftime("%H:%M:%S%.3f"), event.severity, event.status.as_str(), event.role, event.event_type, event.title, event.description.chars().take(100).collect::<String>()),
                Ok(Feed::Incident { incident }) => eprintln!("       INCIDENT {:?} {} {} holding={} events={} affected={} {}", incident.status, incident.severity, incident.subject.key(), incident.holding, incident.events, incident.affected, incident.title),
                Ok(_) => {}
                Err(e) => eprintln!("feed {e}") } }
            ended = running.tasks.ended() => { eprintln!("{ended:?}"); break; }
            _ = tokio::signal::ctrl_c() => break,
        } }
        running.stop().await;
    });
}
