//! The GET of a heartbeat: no message, only a sign of life to a dead-man's switch.

/// Sends one.
///
/// # Errors
/// Not reached, or answered with anything but success; without the address, which may hold a token.
pub async fn heartbeat(client: &reqwest::Client, url: &str) -> Result<(), String> {
    let answer = client.get(url).send().await.map_err(|e| e.without_url().to_string())?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(format!("answered with {status}")) }
}
