//! The words of the command line for one kind of server, the same for each.

/// Declares the arguments that name one kind of server and how to be let in, as flags and as
/// variables of the environment: a struct for `#[command(flatten)]` with a function `settings`.
#[macro_export]
macro_rules! flags {
    (
        $(#[$about:meta])*
        $name:ident, $source:expr, $flag:literal, $env:literal, $url:literal
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, $crate::clap::Args)]
        pub struct $name {
            #[doc = $url]
            #[arg(
                id = concat!($flag, "-url"), long = concat!($flag, "-url"), value_name = "URL",
                env = concat!($env, "_URL")
            )]
            pub url: Option<String>,
            /// File with a bearer token for it; read anew for each call
            #[arg(
                id = concat!($flag, "-token-file"), long = concat!($flag, "-token-file"),
                value_name = "FILE", env = concat!($env, "_TOKEN_FILE")
            )]
            pub token_file: Option<std::path::PathBuf>,
            /// User for basic authentication
            #[arg(
                id = concat!($flag, "-user"), long = concat!($flag, "-user"), value_name = "NAME",
                env = concat!($env, "_USER"), requires = concat!($flag, "-password-file")
            )]
            pub user: Option<String>,
            /// File with the password of that user
            #[arg(
                id = concat!($flag, "-password-file"), long = concat!($flag, "-password-file"),
                value_name = "FILE", env = concat!($env, "_PASSWORD_FILE"),
                requires = concat!($flag, "-user")
            )]
            pub password_file: Option<std::path::PathBuf>,
            /// Tenant, for servers that keep several apart
            #[arg(
                id = concat!($flag, "-tenant"), long = concat!($flag, "-tenant"),
                value_name = "TENANT", env = concat!($env, "_TENANT")
            )]
            pub tenant: Option<String>,
            /// Header that carries the tenant; X-Scope-OrgID when not said
            #[arg(
                id = concat!($flag, "-tenant-header"), long = concat!($flag, "-tenant-header"),
                value_name = "HEADER", env = concat!($env, "_TENANT_HEADER")
            )]
            pub tenant_header: Option<String>,
            /// File with the certificates (PEM) that sign the server's; in place of the system's
            #[arg(
                id = concat!($flag, "-ca-file"), long = concat!($flag, "-ca-file"),
                value_name = "FILE", env = concat!($env, "_CA_FILE")
            )]
            pub ca_file: Option<std::path::PathBuf>,
        }

        impl $name {
            /// What is meant by them.
            #[must_use]
            pub fn settings(&self) -> $crate::Settings {
                $crate::Settings {
                    source: $source,
                    url: self.url.clone(),
                    token_file: self.token_file.clone(),
                    api_key_file: None,
                    user: self.user.clone(),
                    password_file: self.password_file.clone(),
                    tenant: self.tenant.clone(),
                    tenant_header: self.tenant_header.clone(),
                    ca_file: self.ca_file.clone(),
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]
    use clap::Parser;

    use crate::Source;

    const ONE: Source = Source { title: "One", flag: "one", code: "ONE", api: "", patience: "" };
    const TWO: Source = Source { title: "Two", flag: "two", code: "TWO", api: "", patience: "" };

    crate::flags!(
        /// One.
        One, ONE, "one", "ONE_OF_TESTS", "Address of one"
    );
    crate::flags!(
        /// Two.
        Two, TWO, "two", "TWO_OF_TESTS", "Address of two"
    );

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        two: Two,
    }

    #[test]
    fn two_kinds_of_servers_are_told_apart_on_one_command_line() {
        let words = ["x", "--one-url", "http://a", "--two-url", "http://b", "--two-tenant", "t"];
        let words = Words::try_parse_from(words).unwrap();
        assert_eq!(words.one.settings().url.as_deref(), Some("http://a"));
        let two = words.two.settings();
        assert_eq!((two.url.as_deref(), two.tenant.as_deref()), (Some("http://b"), Some("t")));
        assert!(Words::try_parse_from(["x", "--one-user", "me"]).is_err(), "a user needs a file");
    }
}
