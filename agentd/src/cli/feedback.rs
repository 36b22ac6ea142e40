//! `agentd feedback ID correct|partly|wrong`: what people know better, given to the daemon.

use agent_proto::v1::{Judgement, SubmitFeedbackRequest};

use super::{
    DONE, Error,
    args::{Feedback, Judged},
    connect, json, out,
    text::wrapped,
};
use crate::config::Environment;

pub(super) async fn run(args: &Feedback, environment: &Environment) -> Result<u8, Error> {
    let client = connect(&args.server, environment).await?;
    let answer = client.judge(request(args)).await?;
    if args.json {
        out::line(&format!("{:#}", json::judged(&answer)?))?;
    } else {
        out::line(&wrapped("", &format!("{} ({})", answer.understood, answer.episode)))?;
    }
    Ok(DONE)
}

fn request(args: &Feedback) -> SubmitFeedbackRequest {
    let said = |words: &Option<String>| words.clone().unwrap_or_default();
    let judgement = match args.judgement {
        Judged::Correct => Judgement::Correct,
        Judged::Partly => Judgement::PartlyCorrect,
        Judged::Wrong => Judgement::Incorrect,
    };
    SubmitFeedbackRequest {
        name: args.id.clone(),
        judgement: judgement.into(),
        actual_root_cause: said(&args.cause),
        resolution: said(&args.resolution),
        comment: said(&args.comment),
        request_id: String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn asked(words: &[&str]) -> SubmitFeedbackRequest {
        let words = ["agentd", "feedback"].iter().chain(words);
        let Command::Feedback(args) = Cli::try_parse_from(words).unwrap().command else {
            panic!("another command");
        };
        request(&args)
    }

    #[test]
    fn the_words_of_the_command_line_become_the_judgement() {
        for (word, judgement) in [
            ("correct", Judgement::Correct),
            ("partly", Judgement::PartlyCorrect),
            ("wrong", Judgement::Incorrect),
        ] {
            let asked = asked(&["7", word, "--cause", "c", "--resolution", "r", "--comment", "k"]);
            assert_eq!(asked.judgement(), judgement);
            assert_eq!(
                [asked.name, asked.actual_root_cause, asked.resolution, asked.comment],
                ["7", "c", "r", "k"]
            );
        }
        assert!(Cli::try_parse_from(["agentd", "feedback", "7", "maybe"]).is_err());
    }
}
