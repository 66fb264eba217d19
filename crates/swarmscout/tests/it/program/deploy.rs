//! The stack files of `deploy/`, and what the program prints of them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use md5::{Digest as _, Md5};

use super::harness::{Folder, transcript};

/// All that the program knows.
const STACKS: [&str; 6] = ["beside", "gateway", "node", "complete", "reach", "compose"];

/// What a stack can be deployed with.
const OVERRIDES: [&str; 3] = ["alert-url.yml", "grafana-password.yml", REACH];

/// The one of them that has configs.
const REACH: &str = "reach.yml";

/// What was written into a folder.
const LIST: &str = ".swarmscout-files";

/// The folder that Compose mounts as a whole.
const FOLDER: &str = "compose";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The file that a line of a stack's `configs` names.
fn config_file(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("{file: ./")?;
    rest.split(',').next()
}

/// The file or folder that a line of a Compose file mounts.
fn mounted_file(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("- ./").or_else(|| line.split_once("volumes: [\"./"))?;
    rest.split(':').next()
}

/// What a stack is deployed with: by its lines, and what else belongs to it.
fn belongings(stack: &str, text: &str) -> Vec<String> {
    let named = text.lines().filter_map(|line| config_file(line).or_else(|| mounted_file(line)));
    let mut all: Vec<_> = named.filter(|file| *file != FOLDER).map(str::to_owned).collect();
    all.push(format!("{stack}.yml"));
    match stack {
        "complete" => {
            all.extend(OVERRIDES.map(str::to_owned));
            let reach = read(&deploy().join(REACH));
            all.extend(reach.lines().filter_map(config_file).map(str::to_owned));
        }
        "compose" => all.push(format!("{FOLDER}/swarmscout.yml")),
        _ => {}
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The line with the digest of its file as the end of the config's name.
fn with_digest(line: &str) -> String {
    const START: &str = "${CONFIG:-";
    let Some(file) = config_file(line) else { return line.to_owned() };
    let (before, rest) = line.split_once(START).unwrap_or_else(|| panic!("no {START} in {line}"));
    let (_, after) = rest.split_once('}').expect("a variable ends");
    let digest: [u8; 16] = Md5::digest(read(&deploy().join(file))).into();
    let digest = u128::from_be_bytes(digest) >> 96;
    format!("{before}{START}{digest:08x}}}{after}")
}

/// A config of Swarm cannot change: with the old name, a second `docker stack deploy` would fail.
/// `UPDATE_EXPECT=1` writes the names.
#[test]
fn the_name_of_each_config_has_the_digest_of_its_file() {
    let stacks = STACKS.iter().filter(|stack| **stack != FOLDER);
    for stack in stacks.map(|stack| format!("{stack}.yml")) {
        let path = deploy().join(&stack);
        let text = read(&path);
        assert!(text.lines().any(|line| config_file(line).is_some()), "{stack} has no config");
        let lines: String = text.lines().map(|line| with_digest(line) + "\n").collect();
        expect_file![path].assert_eq(&lines);
    }
}

/// All files below a folder, by their paths in it.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            match path.strip_prefix(folder) {
                _ if path.is_dir() => folders.push(path),
                Ok(file) => found.push(file.display().to_string()),
                Err(_) => unreachable!("it is in the folder"),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_program_prints_a_stack_and_writes_it_with_what_it_reads() {
    let folder = Folder::new();
    let run = |args: &[&str]| {
        let output = folder.run(&[&["stack"], args].concat());
        assert!(output.status.success(), "{}", transcript(&folder, &output));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let listed = run(&[]);
    let names: Vec<_> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, STACKS);

    for stack in STACKS {
        let file = format!("{stack}.yml");
        let text = read(&deploy().join(&file));
        assert_eq!(run(&[stack]), text);

        let written = run(&[stack, &format!("--output={stack}")]);
        let written: Vec<_> = written.lines().collect();
        let expected = belongings(stack, &text);
        let found = files(&folder.path().join(stack));
        assert_eq!(found[0], LIST);
        assert_eq!(found[1..], expected);
        assert_eq!(written.len(), expected.len(), "{written:?}");
        for path in expected {
            let copy = read(&folder.path().join(stack).join(&path));
            assert_eq!(copy, read(&deploy().join(&path)), "{path}");
        }
    }
}

/// Runs `stack beside --output=out`. Returns its exit code, and what it says on stderr.
fn write_beside(folder: &Folder, flags: &[&str]) -> (Option<i32>, String) {
    let output = folder.run(&[&["stack", "beside", "--output=out"], flags].concat());
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn an_edited_file_is_overwritten_by_force_alone() {
    let folder = Folder::new();
    let written = (Some(0), String::new());
    assert_eq!(write_beside(&folder, &[]), written);
    assert_eq!(write_beside(&folder, &[]), written, "the same again");
    let beside = folder.write("out/beside.yml", "services: {}\n");
    let config = folder.path().join("out/stack/swarmscout.yml");
    std::fs::remove_file(&config).expect("it was written");
    let refused = "cannot write out/beside.yml: edited, or not written by Swarmscout: use another \
                   folder, move what is there, or overwrite it with --force\n";
    assert_eq!(write_beside(&folder, &[]), (Some(1), refused.to_owned()));
    assert_eq!(read(&beside), "services: {}\n");
    assert!(!config.exists(), "all or none");
    assert_eq!(write_beside(&folder, &["--force"]), written);
    assert_eq!(read(&beside), read(&deploy().join("beside.yml")));

    // What another version wrote is in the list.
    folder.write("out/beside.yml", "of another version\n");
    let digest: [u8; 16] = Md5::digest("of another version\n").into();
    let digest = u128::from_be_bytes(digest);
    folder.write(&format!("out/{LIST}"), &format!("{digest:032x}  beside.yml\n"));
    assert_eq!(write_beside(&folder, &[]), written);
    assert_eq!(read(&beside), read(&deploy().join("beside.yml")));
}

#[test]
fn links_are_not_followed_and_pipes_not_opened() {
    let folder = Folder::new();
    let elsewhere = folder.write("elsewhere.yml", &read(&deploy().join("beside.yml")));
    let out = folder.path().join("out");
    std::fs::create_dir(&out).expect("the folder is new");
    let beside = out.join("beside.yml");
    let said = |reason: &str| (Some(1), format!("cannot write {reason}\n"));

    std::os::unix::fs::symlink(&elsewhere, &beside).expect("nothing is there");
    let expected = said("out/beside.yml: it is a symbolic link");
    assert_eq!(write_beside(&folder, &["--force"]), expected);
    std::fs::remove_file(&beside).expect("it is there");

    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &beside, fifo, mode, 0).expect("nothing is there");
    let expected = said("out/beside.yml: it is not a regular file");
    assert_eq!(write_beside(&folder, &["--force"]), expected);
    std::fs::remove_file(&beside).expect("it is there");

    let stack = folder.path().join("stack");
    std::fs::create_dir(&stack).expect("the folder is new");
    std::os::unix::fs::symlink(&stack, out.join("stack")).expect("nothing is there");
    let expected = said("out/stack/swarmscout.yml: out/stack is a symbolic link");
    assert_eq!(write_beside(&folder, &["--force"]), expected);
    assert_eq!(files(&out), [""; 0], "nothing was written, there or here");
}

#[test]
fn containers_can_read_the_files_whatever_the_umask() {
    let folder = Folder::new();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "umask 077 && exec \"$0\" stack beside --output=a/b"]);
    command.arg(env!("CARGO_BIN_EXE_swarmscout")).current_dir(folder.path());
    assert!(command.status().expect("sh is there").success());
    for (path, mode) in [
        ("a", 0o755),
        ("a/b/stack", 0o755),
        ("a/b/beside.yml", 0o644),
        ("a/b/stack/swarmscout.yml", 0o644),
    ] {
        let metadata = std::fs::metadata(folder.path().join(path)).expect("it is written");
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
    }
}

#[test]
fn the_configurations_of_the_stacks_are_good() {
    let folder = Folder::new();
    let urls = "https://manager-1:9465/sd/swarm,https://manager-2:9465/sd/swarm";
    let output = folder.run(&["tls", "init", "--hosts=manager-1,manager-2"]);
    assert!(output.status.success(), "{}", transcript(&folder, &output));
    for (check, file) in [
        ("config", "stack/swarmscout.yml"),
        ("config", "compose/swarmscout.yml"),
        ("config", "gateway/gateway.yml"),
        ("config", "gateway/reader.yml"),
        ("web-config", "gateway/gateway-web.yml"),
        ("web-config", "gateway/reader-web.yml"),
        ("web-config", "node/node-web.yml"),
        ("web-config", "node/manager-web.yml"),
        ("config", "stack/swarmscout-reach.yml"),
    ] {
        // As Docker fills it in, and with files that are there.
        let mut text = read(&deploy().join(file));
        text = text.replace("{{ env \"NETWORK\" }}", "monitoring");
        text = text.replace("{{ env \"REACH\" }}", "node");
        text = text.replace("{{ env \"GATEWAYS\" }}", urls).replace("/run/secrets/", "tls/");
        assert!(!text.contains("{{"), "{text}");
        let path = folder.write(&file.replace('/', "-"), &text);
        let output = folder.run(&["check", check, &path.display().to_string()]);
        let said = transcript(&folder, &output);
        assert!(output.status.success() && !said.contains("WARNING"), "{said}");
    }
}

/// The program carries files of `deploy/`, so the context of the image must have all of them.
#[test]
fn the_image_is_built_with_the_whole_folder() {
    let ignored = read(&deploy().join("../.dockerignore"));
    let rules: Vec<_> = ignored.lines().filter(|line| line.contains("deploy")).collect();
    assert_eq!(rules, ["!deploy"]);
}

/// Docker 20.10 finds no file by a rule with a `*` in the name of a folder that another rule leaves out.
#[test]
fn the_image_is_built_with_the_releases() {
    let ignored = read(&deploy().join("../.dockerignore"));
    let rules: Vec<_> = ignored.lines().filter(|line| line.contains("dist")).collect();
    let releases = ["amd64", "arm64", "armv7"].map(|arch| format!("!dist/linux-{arch}/swarmscout"));
    assert_eq!(rules, releases);
}
