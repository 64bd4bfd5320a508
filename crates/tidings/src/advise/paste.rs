//! What to paste: a configuration, and a page's code.

use super::cost::Costs;
use super::decision::Decision;
use super::situation::{Loss, Sends, Situation};

/// How long somebody may be away and miss nothing, in seconds.
const AWAY_S: f64 = 3_600.0;
const RETAIN_MIN: f64 = 100.0;
const RETAIN_MAX: f64 = 100_000.0;

/// A configuration for this decision, which `tidings check` accepts.
pub(super) fn configuration(situation: &Situation, decision: &Decision, costs: &Costs) -> String {
    let several = costs.get(decision.first()).nodes > 1;
    let broker = match (several, situation.loss) {
        (true, _) => {
            "kind = \"redis\"               # several nodes share one broker\nurl = \"redis://127.0.0.1:6379\""
        }
        (false, Loss::Never) => "kind = \"disk\"                # a 200 means on disk\npath = \"data\"",
        (false, Loss::Allowed) => "kind = \"memory\"",
    };
    let retain = match situation.loss {
        Loss::Never => {
            let messages = (AWAY_S / situation.every_s).clamp(RETAIN_MIN, RETAIN_MAX).ceil();
            format!(
                "\nretain = {{ messages = {messages}, age = \"24h\" }}   # who was away for an hour misses nothing"
            )
        }
        Loss::Allowed => String::new(),
    };
    let publish = match situation.sends {
        Sends::Never => "publish = \"server\"           # your backend, with an API key",
        Sends::Sometimes | Sends::Often => {
            "publish = \"token\"            # users whose token lists the channel"
        }
    };
    let delivery = decision.delivery;
    format!(
        "listen = \"0.0.0.0:8080\"\n\n[broker]\n{broker}\n\n[auth]\napi_keys = [\"…\"]             # tidings key\n\
         [auth.jwt]\nhmac_secret = \"…\"            # at least 32 bytes\n\n[namespaces.updates]\n\
         delivery = \"{delivery}\"{retain}\nsubscribe = \"token\"\n{publish}\n"
    )
}

/// A page's code for this decision.
pub(super) fn code(decision: &Decision) -> String {
    let ladder: Vec<_> = decision.ladder.iter().map(|transport| format!("'{}'", transport.name())).collect();
    let gap = match decision.delivery {
        "at-least-once" => {
            "  onGap: () => reload(),        // something is gone for good: load your state anew\n"
        }
        _ => "",
    };
    format!(
        "import {{ Tidings }} from 'https://tidings.example.com/sdk/tidings.js'\n\n\
         const client = new Tidings({{\n  url: 'https://tidings.example.com',\n  token: () => fetchToken(),\n  \
         transports: [{}],\n}})\nclient.channel('updates:42').subscribe({{\n  onMessage: ({{ data }}) => show(data),\n{gap}}})\n",
        ladder.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Loss, Network, Sends, Situation, advise};

    #[test]
    fn what_is_to_be_pasted_can_be_used() {
        for (sends, loss, users) in [(Sends::Never, Loss::Never, 100), (Sends::Often, Loss::Allowed, 10_000)]
        {
            let situation = Situation {
                sends,
                fresh_s: 1.0,
                every_s: 0.5,
                users,
                bytes: 100,
                loss,
                network: Network::Unknown,
            };
            let advice = advise(situation);
            let key = "sk_0123456789abcdef0123456789abcdef";
            let text = advice.configuration.replacen('…', key, 1).replacen('…', &"s".repeat(32), 1);
            let parsed: toml::Table = text.parse().expect(&text);
            assert_eq!(parsed["namespaces"]["updates"]["delivery"].as_str(), Some(advice.decision.delivery));
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("tidings.toml");
            std::fs::write(&file, &text).unwrap();
            let none = crate::config::Env::default();
            crate::config::Config::load(Some(&file), &none, &crate::config::Flags::default()).expect(&text);
        }
    }
}
