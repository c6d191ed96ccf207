//! A TLS certificate in a Secret ends soon: 21 days before, and again 7 days before.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Condition, Context, Draft, Finding, Output, Verdict};
use crate::{
    event::{EventType, Kind, Severity},
    object::{Certificate, Object},
};

const DAY_SECS: i64 = 86_400;
/// How long before its end a certificate is told, the share of its lifetime that takes the place of these days where
/// something renews it by itself, and how bad it is from then on.
const STEPS: &[(i64, i64, Severity)] =
    &[(21 * DAY_SECS, 4, Severity::High), (7 * DAY_SECS, 12, Severity::Critical)];
/// Of both steps: one trouble, that gets worse.
const ENDS: &str = "soon";
/// cert-manager renews after two thirds of a certificate's life: a short-lived one is always near its end.
const RENEWED_BY_ITSELF: &str = "cert-manager.io/certificate-name";

/// See the module.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "certificate_expiring"
    }
    fn types(&self) -> &'static [EventType] {
        &[EventType::CertificateExpiring]
    }
    fn kind(&self) -> Kind {
        Kind::Secret
    }
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        let certificate = object.config().filter(|c| c.secret_type == "kubernetes.io/tls");
        let Some(certificate) = certificate.and_then(|c| c.certificate.as_ref()) else {
            return Verdict::healthy();
        };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        let renewed = object.meta.annotation(RENEWED_BY_ITSELF).is_some();
        let lifetime = certificate.not_after.duration_since(certificate.not_before).as_secs();
        let mut reached = None;
        for (before_end, share, severity) in STEPS {
            let span = if renewed { (*before_end).min(lifetime / share) } else { *before_end };
            let Ok(from) = certificate.not_after.checked_sub(SignedDuration::from_secs(span)) else {
                continue;
            };
            if cx.now < from {
                out.look_again.push(from);
                continue;
            }
            // It was not there before its Secret.
            let from = object.meta.created_at.map_or(from, |created| from.max(created.min(cx.now)));
            reached = Some((from, *severity));
        }
        if reached.is_some() && cx.now < certificate.not_after {
            // "ends in 3 days" becomes "has ended".
            out.look_again.push(certificate.not_after);
        }
        Verdict::of(reached.map(|(from, severity)| {
            let draft = draft(object, certificate, cx).at(from).severity(severity).discriminator(ENDS);
            Finding { draft, after_secs: 0 }
        }))
    }
}

fn draft(object: &Arc<Object>, certificate: &Certificate, cx: &Context<'_>) -> Draft {
    let (name, namespace) = (&object.meta.name, &object.meta.namespace);
    let names: Vec<&str> = certificate.names.iter().map(AsRef::as_ref).collect();
    let hosts = ingress_hosts(object, cx);
    let used = match hosts.as_slice() {
        [] => "No Ingress uses it.".to_owned(),
        hosts => format!("Used by the Ingress for {}.", hosts.join(", ")),
    };
    Draft::new(
        EventType::CertificateExpiring,
        object,
        format!("Certificate {name} {}", left(certificate.not_after, cx.now)),
    )
    .description(format!("For {}; valid until {}. {used}", names.join(", "), certificate.not_after))
    .detail("names", names)
    .detail("issuer", certificate.issuer.as_str())
    .detail("not_before", certificate.not_before.to_string())
    .detail("not_after", certificate.not_after.to_string())
    .detail("days_left", rounded(certificate.not_after.duration_since(cx.now).as_secs(), DAY_SECS))
    .detail("ingress_hosts", (!hosts.is_empty()).then_some(hosts))
    .recommend(
        "Read its dates",
        format!(
            "kubectl get secret {name} -n {namespace} -o jsonpath='{{.data.tls\\.crt}}' | base64 -d | openssl x509 -noout -subject -dates"
        ),
    )
}

fn left(end: Timestamp, now: Timestamp) -> String {
    let secs = end.duration_since(now).as_secs();
    match secs {
        ..=0 => "has expired".to_owned(),
        1..172_800 => format!("expires in {} hours", rounded(secs, 3600)),
        _ => format!("expires in {} days", rounded(secs, DAY_SECS)),
    }
}

/// 4.99 days are 5.
const fn rounded(secs: i64, unit: i64) -> i64 {
    (secs + unit / 2).div_euclid(unit)
}

/// The hosts for which an Ingress serves this Secret.
fn ingress_hosts(object: &Arc<Object>, cx: &Context<'_>) -> Vec<String> {
    let mut hosts: Vec<String> = cx
        .world
        .in_namespace(Kind::Ingress, &object.meta.namespace)
        .filter_map(|o| o.ingress())
        .flat_map(|i| &i.tls)
        .filter(|(_, secret)| *secret == object.meta.name)
        .flat_map(|(hosts, _)| hosts.iter().map(ToString::to_string))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}
