//! What the command line says about the configuration; `cli` fills it in.

use std::path::PathBuf;

use super::{layer::Layers, options::Opt, value::Raw};

/// The global flags; what was not given leaves the other layers alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Flags {
    /// Read by `load`, not an option itself.
    pub config: Option<PathBuf>,
    pub kubeconfig: Option<PathBuf>,
    pub contexts: Vec<String>,
    pub namespaces: Vec<String>,
    pub selector: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub watch_only: bool,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
    pub name: Option<String>,
    pub listen: Option<String>,
}

impl Flags {
    /// Lays the flags over everything else.
    pub(super) fn apply(&self, layers: &mut Layers) {
        let path = |p: &Option<PathBuf>| p.as_ref().map(|p| Raw::Text(p.to_string_lossy().into_owned()));
        let text = |t: &Option<String>| t.clone().map(Raw::Text);
        let list = |l: &Vec<String>| {
            let items = l.iter().flat_map(|t| t.split(',')).map(|t| Raw::Text(t.to_owned())).collect();
            (!l.is_empty()).then_some(Raw::List(items))
        };
        let given = [
            ("clusters.kubeconfig", path(&self.kubeconfig)),
            ("clusters.contexts", list(&self.contexts)),
            ("clusters.name", text(&self.name)),
            ("watch.namespaces", list(&self.namespaces)),
            ("watch.selector", text(&self.selector)),
            ("store.dir", path(&self.data_dir)),
            ("watch_only", self.watch_only.then_some(Raw::Bool(true))),
            ("log.level", text(&self.log_level)),
            ("log.format", text(&self.log_format)),
            ("server.listen", text(&self.listen)),
        ];
        for (key, raw) in given {
            if let (Some(option), Some(raw)) = (Opt::find(key), raw) {
                layers.set(option, &raw, None, option.flag);
            }
        }
        self.choose_kubeconfig(layers);
    }

    /// Somebody who names a kubeconfig or a context on the command line means it, whatever `IN_CLUSTER` says.
    fn choose_kubeconfig(&self, layers: &mut Layers) {
        if self.kubeconfig.is_none() && self.contexts.is_empty() {
            return;
        }
        if layers.flag("clusters.in_cluster") == Some(true)
            && let Some(option) = Opt::find("clusters.in_cluster")
        {
            layers.warn("in_cluster = true is ignored, because --kubeconfig or --context was given");
            layers.set(option, &Raw::Bool(false), None, "--kubeconfig");
        }
    }
}
