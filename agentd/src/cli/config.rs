//! `agentd config check | show`.

use super::{
    DONE, Error,
    args::{ConfigArgs, ConfigCommand},
    out,
};
use crate::config::{Environment, load::load, show};

pub(super) fn run(args: &ConfigArgs, environment: &Environment) -> Result<u8, Error> {
    match &args.what {
        ConfigCommand::Check(settings) => {
            load(&settings.sources(environment))?;
            out::line("the configuration is sound")?;
        }
        ConfigCommand::Show { markdown: true, .. } => out::write(&show::markdown())?,
        ConfigCommand::Show { defaults: true, .. } => {
            out::write(&show::toml(&show::defaults(environment)))?;
        }
        ConfigCommand::Show { settings, .. } => {
            out::write(&show::toml(&load(&settings.sources(environment))?))?;
        }
    }
    Ok(DONE)
}
