use std::ffi::OsString;

use expect_test::{Expect, expect};

use super::compat::{FLAGS, Value, Verdict};
use super::*;

fn parse_words(words: &str) -> Result<Cli, clap::Error> {
    let args = std::iter::once("swarmscout").chain(words.split_whitespace());
    parse(args.map(OsString::from))
}

#[track_caller]
fn check_error(words: &str, expected: &Expect) {
    let error = parse_words(words).expect_err("the command line is refused");
    assert_eq!(error.exit_code(), 2, "{words}");
    expected.assert_eq(&error.to_string());
}

#[test]
fn defaults_and_values() {
    let show = |words: &str| {
        let cli = parse_words(words).unwrap_or_else(|error| panic!("{words}: {error}"));
        let lines: Vec<_> =
            values(&cli).into_iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        lines.concat()
    };
    expect![[r#"
        agent=false
        cluster=
        config.auto-reload=false
        config.auto-reload-interval=30s
        config.file=
        file-sd.directory=
        file-sd.format=json
        file-sd.mode=0644
        file-sd.removed=empty
        limits.memory=
        log.format=logfmt
        log.level=info
        nodes.insecure=false
        sd.startup-timeout=30s
        state.certificates=true
        state.label-allowlist=
        state.metric-allowlist=
        state.metric-denylist=
        state.metrics=true
        state.network-status=false
        state.series-labels=
        storage.path=
        web.allowed-hosts=
        web.cors.origin=
        web.enable-lifecycle=false
        web.external-url=
        web.listen-address=127.0.0.1:9465
        web.max-connections=512
        web.max-waiting=2000
        web.page-title=Swarmscout
        web.read-timeout=5m
        web.route-prefix=
        web.systemd-socket=false
    "#]]
    .assert_eq(&show(""));
    expect![[r#"
        agent=true
        cluster=
        config.auto-reload=false
        config.auto-reload-interval=30s
        config.file=a.yml
        file-sd.directory=
        file-sd.format=json
        file-sd.mode=0644
        file-sd.removed=empty
        limits.memory=
        log.format=json
        log.level=debug
        nodes.insecure=false
        sd.startup-timeout=30s
        state.certificates=true
        state.label-allowlist=
        state.metric-allowlist=
        state.metric-denylist=
        state.metrics=true
        state.network-status=false
        state.series-labels=
        storage.path=
        web.allowed-hosts=a,b,c
        web.cors.origin=https?://x
        web.enable-lifecycle=true
        web.external-url=http://h/p
        web.listen-address=:1,[::1]:2
        web.max-connections=7
        web.max-waiting=0
        web.page-title=T
        web.read-timeout=30s
        web.route-prefix=/q
        web.systemd-socket=false
    "#]]
    .assert_eq(&show(
        "--agent --config.file a.yml --log.format=json --log.level DEBUG --web.cors.origin=https?://x \
         --web.enable-lifecycle --web.external-url=http://h/p --web.listen-address=:1 \
         --web.listen-address [::1]:2 --web.max-connections=7 --web.max-waiting=0 --web.page-title=T \
         --web.read-timeout=30s --web.route-prefix=/q \
         --web.allowed-hosts=a,b --web.allowed-hosts=c",
    ));
}

#[test]
fn switches_take_the_spellings_of_prometheus() {
    for (words, expected) in [
        ("--web.enable-lifecycle", true),
        ("--no-web.enable-lifecycle", false),
        ("--web.enable-lifecycle=true", true),
        ("--web.enable-lifecycle=false", false),
        ("", false),
    ] {
        let cli = parse_words(words).unwrap_or_else(|error| panic!("{words}: {error}"));
        assert_eq!(cli.run.web.enable_lifecycle, expected, "{words}");
    }
}

#[test]
fn auto_reload_is_known_by_its_older_name_too() {
    for (words, on, ignored) in [
        ("", false, 0),
        ("--config.auto-reload", true, 0),
        ("--enable-feature=auto-reload-config", true, 0),
        ("--enable-feature=auto-reload-config --enable-feature=agent,native-histograms", true, 1),
        ("--enable-feature=agent,auto-reload-config", true, 1),
        ("--no-config.auto-reload --config.auto-reload-interval=5s", false, 0),
    ] {
        let cli = parse_words(words).unwrap_or_else(|error| panic!("{words}: {error}"));
        assert_eq!((cli.run.auto_reload, cli.ignored.len()), (on, ignored), "{words}");
    }
}

#[test]
fn sub_commands_take_their_own_flags() {
    let words = "check service-discovery a.yml job --format=json --timeout 5s --log.format=json";
    let cli = parse_words(words).unwrap();
    let Some(Command::Check(CheckCommand::ServiceDiscovery(args))) = cli.command else {
        panic!("another command: {:?}", cli.command);
    };
    assert_eq!(args.format, DiscoveryFormat::Json);
    assert_eq!((args.timeout.to_string().as_str(), &*args.job), ("5s", "job"));

    let cli = parse_words("check config --no-syntax-only --agent a.yml b.yml").unwrap();
    let Some(Command::Check(CheckCommand::Config(args))) = cli.command else {
        panic!("another command: {:?}", cli.command);
    };
    assert_eq!((args.syntax_only, args.agent, args.files.len()), (false, true, 2));
}

/// Every flag of the table in each of its spellings: one warning, or a refusal that names it.
#[test]
fn every_known_flag_of_prometheus_is_accepted_once_or_refused() {
    for flag in FLAGS {
        let name = flag.name;
        let spellings = match flag.value {
            Value::Switch => vec![format!("--{name}"), format!("--no-{name}")],
            Value::One => vec![format!("--{name}=1"), format!("--{name} 1")],
            Value::Many => vec![format!("--{name}=1"), format!("--{name} 1 --{name}=2")],
        };
        for words in spellings {
            match (flag.verdict, parse_words(&words)) {
                (Verdict::Ignored(reason), Ok(cli)) => {
                    assert_eq!(cli.ignored, [IgnoredFlag { name, reason }], "{words}");
                }
                (Verdict::Refused(reason), Err(error)) => {
                    let text = error.to_string();
                    let start = format!("error: cannot use --{name}: {reason}");
                    assert!(text.starts_with(&start), "{words}: {text}");
                }
                (Verdict::Refused(_), Ok(cli)) if words.starts_with("--no-") => {
                    assert_eq!(cli.ignored, [], "{words}");
                }
                (_, result) => panic!("{words}: {result:?}"),
            }
        }
    }
}

#[test]
fn the_table_is_sorted_and_knows_no_flag_twice() {
    let mut names: Vec<_> = Cli::command()
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .chain(FLAGS.iter().map(|flag| flag.name.to_owned()))
        .collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None);
    assert!(FLAGS.is_sorted_by_key(|flag| flag.name));
}

#[test]
fn a_wrong_flag_gets_the_nearest_one() {
    check_error(
        "--web.listen-adress=:1",
        &expect![[r#"
            error: unexpected argument '--web.listen-adress' found

              tip: a similar argument exists: '--web.listen-address'

            Usage: swarmscout --web.listen-address <ADDRESS>

            For more information, try '--help'.
        "#]],
    );
    check_error(
        "--storage.tsdb.retention.tme=1d",
        &expect![[r#"
        error: unexpected argument '--storage.tsdb.retention.tme' found

          tip: a similar argument exists: '--storage.tsdb.retention.time'

        Usage: swarmscout [OPTIONS] [COMMAND]

        For more information, try '--help'.
    "#]],
    );
    check_error(
        "-config.file=x.yml",
        &expect![[r#"
        error: flags have two dashes since Prometheus 2: write --config.file instead of -config.file

        Usage: swarmscout [OPTIONS] [COMMAND]

        For more information, try '--help'.
    "#]],
    );
    check_error(
        "--config.file",
        &expect![[r#"
        error: a value is required for '--config.file <FILE>' but none was supplied

        For more information, try '--help'.
    "#]],
    );
    check_error(
        "--log.level=loud",
        &expect![[r#"
        error: invalid value 'loud' for '--log.level <LEVEL>'
          [possible values: debug, info, warn, error]

        For more information, try '--help'.
    "#]],
    );
    check_error(
        "--web.read-timeout=5",
        &expect![[r#"
            error: invalid value '5' for '--web.read-timeout <DURATION>': not a valid duration string: "5"

            For more information, try '--help'.
        "#]],
    );
    check_error(
        "--web.max-connections=0",
        &expect![[r#"
        error: invalid value '0' for '--web.max-connections <N>': 0 is not in 1..=1000000

        For more information, try '--help'.
    "#]],
    );
    check_error(
        "--web.listen-address=:0 demo",
        &expect![[r#"
        error: --web.listen-address before `demo` has no effect: write the flags of a sub-command after it

        Usage: swarmscout [OPTIONS] [COMMAND]

        For more information, try '--help'.
    "#]],
    );
    check_error(
        "chekc",
        &expect![[r#"
        error: unrecognized subcommand 'chekc'

          tip: a similar subcommand exists: 'check'

        Usage: swarmscout [OPTIONS] [COMMAND]

        For more information, try '--help'.
    "#]],
    );
    check_error(
        "check config",
        &expect![[r#"
        error: the following required arguments were not provided:
          <FILE>...

        Usage: swarmscout check config <FILE>...

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn log_flags_stand_before_and_after_a_sub_command() {
    for words in ["--log.level=debug check healthy", "check healthy --log.level=debug"] {
        assert_eq!(parse_words(words).unwrap().log.level, LogLevel::Debug, "{words}");
    }
}

/// `docs/flags.md` is what this makes of the code; `UPDATE_EXPECT=1` writes it.
#[test]
fn the_documentation_lists_every_flag() {
    expect_test::expect_file!["../../../../docs/flags.md"].assert_eq(&documentation());
}

fn documentation() -> String {
    use std::fmt::Write as _;

    let mut text = String::from(
        "# Flags\n\n```console\n$ swarmscout --config.file=prometheus.yml \
         --web.listen-address=0.0.0.0:9465 --no-web.enable-lifecycle\n```\n\n\
         Flags have Prometheus' names. A value follows after `=` or a space. A switch is `--flag` or \
         `--no-flag`.\n\n\
         ## Flags with an effect\n\n| flag | default | what it does |\n| --- | --- | --- |\n",
    );
    let mut command = Cli::command();
    command.build();
    list_flags(&command, &mut text);
    text.push_str("\n## Flags of commands\n\nThey stand after the command.\n");
    list_commands(&command, "swarmscout", &mut text);
    text.push_str(
        "\n## Rejected flags\n\n\
         Their feature does not exist yet. To ignore them would expose the server or lose data.\n\n\
         | flag | why, and what to do |\n| --- | --- |\n",
    );
    for flag in FLAGS {
        if let Verdict::Refused(reason) = flag.verdict {
            writeln!(text, "| `--{}` | {reason} |", flag.name).expect("a string takes all");
        }
    }
    text.push_str(
        "\n## Flags without effect\n\n\
         Swarmscout accepts them so that the `command:` of a Prometheus works unchanged. Each gives \
         one warning.\n",
    );
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for flag in FLAGS {
        let Verdict::Ignored(reason) = flag.verdict else { continue };
        let name = format!("`--{}`", flag.name);
        match by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name),
            None => by_reason.push((reason, vec![name])),
        }
    }
    for (reason, names) in by_reason {
        writeln!(text, "\n- {reason}:\n  {}", names.join(",\n  ")).expect("a string takes all");
    }
    text
}

/// Those that the command has alone.
fn list_flags(command: &clap::Command, text: &mut String) {
    use std::fmt::Write as _;

    let flags = command.get_arguments().filter(|arg| arg.get_long().is_some());
    let is_of_all = |arg: &&Arg| arg.is_global_set() && command.get_name() != "swarmscout";
    for arg in flags.filter(|arg| !is_of_all(arg)) {
        let name = arg.get_long().expect("others were left out");
        let default: Vec<_> =
            arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        let default = default.join(", ");
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let help = arg.get_help().expect("every flag has a help").to_string();
        let help = help.replace('|', "\\|");
        writeln!(text, "| `--{name}` | {default} | {help} |").expect("a string takes all");
    }
}

fn list_commands(command: &clap::Command, path: &str, text: &mut String) {
    use std::fmt::Write as _;

    for command in command.get_subcommands() {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            list_commands(command, &path, text);
            continue;
        }
        let positional = command.get_positionals().filter_map(|arg| arg.get_value_names()?.first());
        let words: Vec<_> = std::iter::once(path.as_str())
            .chain(positional.map(clap::builder::Str::as_str))
            .collect();
        let about = command.get_about().expect("every command has a help");
        writeln!(text, "\n### `{}`\n\n{about}.\n", words.join(" ")).expect("a string takes all");
        text.push_str("| flag | default | what it does |\n| --- | --- | --- |\n");
        list_flags(command, text);
    }
}

/// Numbers, sizes and durations: the ends of each range, and what lies beyond.
#[test]
fn every_range_has_ends() {
    let longest = "292y";
    for (flag, good, bad) in [
        (
            "--web.max-connections",
            &["1", "512", "1000000"][..],
            &["0", "-1", "1000001", "2305843009213693952", "18446744073709551616", "1e3", ""][..],
        ),
        ("--web.max-waiting", &["0", "2000", "1000000"], &["-1", "1000001", ""]),
        (
            "--web.read-timeout",
            &["0", "1ms", longest],
            &["-1s", "293y", "1", "9223372036854775808s"],
        ),
        ("--config.auto-reload-interval", &["1ms", longest], &["0", "0s", "-1s", "293y"]),
        ("--sd.startup-timeout", &["0", longest], &["-1s", "293y"]),
        ("--file-sd.mode", &["0", "0000", "777"], &["1000", "-1", "8", "37777777777", "0x1"]),
    ] {
        for (value, expected) in
            good.iter().map(|value| (value, true)).chain(bad.iter().map(|value| (value, false)))
        {
            let line = format!("swarmscout --file-sd.directory=d {flag}={value}");
            let parsed = parse(line.split(' ').map(Into::into));
            assert_eq!(parsed.is_ok(), expected, "{flag}={value}: {parsed:?}");
        }
    }
    let longest_check = format!("swarmscout check service-discovery f j --timeout={longest}");
    parse(longest_check.split(' ').map(Into::into)).expect("a timeout may be long");
    for (interval, expected) in [("100ms", true), ("99ms", false), ("0s", false)] {
        let watch = ["swarmscout", "status", &format!("--watch={interval}")];
        assert_eq!(parse(watch.map(Into::into)).is_ok(), expected, "{interval}");
    }
}
