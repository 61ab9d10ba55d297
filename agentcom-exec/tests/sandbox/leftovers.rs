//! This file tests that nothing of a command's temporary files is left, whatever it made of them.

use std::path::Path;

use crate::{Place, levels};

#[tokio::test]
async fn temporary_files_are_gone_with_their_command_however_deep_or_closed_they_are() {
    let deep = "for (1 .. 3000) { mkdir('d') && chdir('d') or die }";
    let closed = "mkdir('shut', 0300) && mkdir('shut/in', 0) or die";
    for level in levels() {
        for script in [deep, closed] {
            let script = format!("chdir($ENV{{TMPDIR}}) or die; {script}; print $ENV{{TMPDIR}}");
            let ran = Place::new(level).run_with(&["perl", "-e", &script], None).await;
            assert!(ran.out.contains("agentcom-job-"), "{level}: {ran:?}");
            assert!(!Path::new(&ran.out).exists(), "{level}: {script}");
        }
    }
}
