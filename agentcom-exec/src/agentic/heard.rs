//! This file counts what is heard of an answer, for the case that it does not come to its end.

use crate::model::history::BYTES_PER_TOKEN_MAX;
use crate::model::{Heard, ModelError, Taken, Usage};

/// What was heard of an answer so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SoFar {
    told: Usage,
    /// How long what the model said and thought is, in bytes.
    bytes: usize,
}

impl SoFar {
    pub(super) fn take(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Text(text) | Heard::Thought(text) => self.bytes += text.len(),
            Heard::Took(usage) => self.told = usage,
        }
    }

    /// Whether the server has told what it read.
    pub(super) fn is_told(self) -> bool {
        self.told != Usage::default()
    }

    /// The error that the answer came to, with what it took at the least, if anything was heard of it: of
    /// what was asked the model had then read all, `sent` tokens or more.
    pub(super) fn counted(self, sent: u64, error: ModelError) -> ModelError {
        let is_silence = self.bytes == 0 && self.told == Usage::default();
        let is_known = error.is_free() || matches!(error, ModelError::Counted { .. });
        if is_silence || is_known {
            return error;
        }
        let said = self.bytes as u64 / BYTES_PER_TOKEN_MAX;
        let mut usage = self.told;
        usage.input_tokens = usage.input_tokens.saturating_add(sent.saturating_sub(usage.read()));
        usage.output_tokens = usage.output_tokens.max(said);
        ModelError::Counted { taken: Taken::AtLeast(usage), error: Box::new(error) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use agentcom_core::agentic::{Limits, Stop};
    use agentcom_core::ledger::{Granted, NotGranted, Payment};
    use agentcom_core::money::Micros;
    use agentcom_core::port::executor::{JobContext, News};
    use agentcom_core::price::Price;
    use agentcom_core::task::Tier;
    use agentcom_core::time::{Span, Wall};
    use async_trait::async_trait;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::agentic::{Brief, How, Loop};
    use crate::model::{Model, Reply, Request, Said};
    use crate::tool::{Toolbox, Workspace};

    /// A model that says and is told this, and then no more.
    #[derive(Debug)]
    struct Hanging {
        told: Usage,
        paid_output_max: Option<u64>,
    }

    #[async_trait]
    impl Model for Hanging {
        fn name(&self) -> &'static str {
            "hanging"
        }

        fn context_tokens(&self) -> u64 {
            16_384
        }

        fn paid_output_max(&self) -> Option<u64> {
            self.paid_output_max
        }

        async fn ask(&self, _: &Request<'_>, said: &mut Said<'_>) -> Result<Reply, ModelError> {
            said(Heard::Took(self.told));
            said(Heard::Text(&"word ".repeat(60)));
            std::future::pending().await
        }
    }

    /// Whoever keeps the books.
    #[derive(Debug, Default)]
    struct Books(Mutex<Vec<(Usage, Option<u64>)>>);

    /// What a call may come to in the books.
    const GRANTED: u64 = 9_000;

    #[async_trait]
    impl JobContext for Books {
        fn report(&self, _: News) {}

        async fn cancelled(&self) {
            std::future::pending().await
        }

        async fn pay(&self, payment: Payment) -> Result<Granted, NotGranted> {
            if let Payment::CameTo(spending) = payment {
                let micros = spending.micros.map(|micros| micros.0);
                self.0.lock().unwrap().push((spending.usage, micros));
            }
            let [input, output] = [1, 3].map(|dollars| Micros(dollars * 1_000_000));
            let price = Price { input, output, cache_read: input, cache_write: input };
            Ok(Granted { micros: Micros(GRANTED), price: Some(price) })
        }

        fn now(&self) -> Wall {
            Wall(0)
        }
    }

    /// What a call of which the time for the task left so much counts for, in the task and in the books.
    async fn counted(
        told: Usage,
        paid_output_max: Option<u64>,
    ) -> (Usage, Vec<(Usage, Option<u64>)>) {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Arc::new(Workspace::open(dir.path()).unwrap());
        let (tools, ctx) = (Toolbox::of_files(&workspace), Books::default());
        let limits = Limits { time: Some(Span(50)), ..Limits::of_tier(Tier::Trivial) };
        let model = Hanging { told, paid_output_max };
        let ended = Loop { model: &model, tools: &tools, limits, ctx: &ctx, seed: 7 }
            .run(&Brief::default())
            .await;
        assert_eq!(ended.how, How::Stopped(Stop::Time));
        (ended.usage, ctx.0.into_inner().unwrap())
    }

    #[tokio::test]
    async fn what_is_known_of_a_call_that_the_deadline_cut_counts() {
        let told = Usage { input_tokens: 5_000, output_tokens: 10, ..Usage::default() };
        let least = Usage { output_tokens: 50, ..told };
        assert_eq!(counted(told, None).await, (least, vec![(least, None)]), "it is free");
        // What costs money costs the longest answer, since nobody tells the rest, and no more than it may.
        for (longest, cost) in [(1_000, 5_000 + 3 * 1_000), (2_000, GRANTED)] {
            assert_eq!(counted(told, Some(longest)).await, (least, vec![(least, Some(cost))]));
        }
        let (untold, booked) = counted(Usage::default(), None).await;
        assert!(untold.input_tokens > 50 && untold.output_tokens == 50, "{untold:?}");
        assert_eq!(booked, [(untold, None)]);
        // Of what the server did not tell nothing is believed.
        let (untold, booked) = counted(Usage::default(), Some(1_000)).await;
        assert_eq!(booked, [(untold, Some(GRANTED))]);
    }

    #[tokio::test]
    async fn what_is_known_of_a_call_is_told_where_the_work_is_dropped_in_the_middle_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Arc::new(Workspace::open(dir.path()).unwrap());
        let told = Usage { input_tokens: 5_000, output_tokens: 10, ..Usage::default() };
        for (paid_output_max, cost) in [(None, None), (Some(1_000), Some(5_000 + 3 * 1_000))] {
            let (tools, ctx) = (Toolbox::of_files(&workspace), Books::default());
            let limits = Limits::of_tier(Tier::Trivial);
            let model = Hanging { told, paid_output_max };
            let work = Loop { model: &model, tools: &tools, limits, ctx: &ctx, seed: 7 };
            assert!(work.run(&Brief::default()).now_or_never().is_none(), "it hangs");
            let least = Usage { output_tokens: 50, ..told };
            assert_eq!(ctx.0.into_inner().unwrap(), [(least, cost)]);
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_took_at_least_what_was_heard_of_it() {
        let silent = || ModelError::Silent(std::time::Duration::from_secs(1));
        let of = |heard: &[Heard<'_>], error| {
            let mut so_far = SoFar::default();
            heard.iter().for_each(|&heard| so_far.take(heard));
            let (taken, error) = so_far.counted(100, error).counted();
            (taken.map(|taken| (taken.usage().input_tokens, taken.usage().output_tokens)), error)
        };
        let told = |input_tokens| Heard::Took(Usage { input_tokens, ..Usage::default() });
        assert_eq!(of(&[], silent()), (None, silent()), "of what is unheard nothing is known");
        let said = [Heard::Text("twelve bytes"), Heard::Thought("and six")];
        assert_eq!(of(&said, silent()), (Some((100, 3)), silent()));
        assert_eq!(of(&[told(700), said[0]], silent()), (Some((700, 2)), silent()));
        assert_eq!(of(&[told(7)], silent()), (Some((100, 0)), silent()), "it has to have read all");
        let busy = ModelError::Busy { seen: "503".to_owned(), after: None };
        assert_eq!(of(&said, busy.clone()), (None, busy), "what is free takes nothing");
    }
}
