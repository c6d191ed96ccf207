//! `barrelman demo`

use clap::Args;

/// Show everything on a simulated cluster: no Kubernetes, no network, nothing kept
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman demo
  barrelman demo --speed 10 --seed 7
  barrelman demo --headless > events.jsonl")]
pub struct Demo {
    /// Without the screen: print events and messages as JSON lines
    #[arg(long)]
    pub headless: bool,
    /// How many times faster than life (0.1 to 100)
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// The same seed plays the same scenario
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// End after so many simulated seconds
    #[arg(long, value_name = "SECS")]
    pub duration_secs: Option<u64>,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.1..=100.0).contains(&factor) => Ok(factor),
        _ => Err("expected a number between 0.1 and 100".into()),
    }
}
