#!/bin/sh
# Writes Alertmanager's configuration from two variables, and starts it:
#
#   ALERT_URL      where alerts reach a person; docs/complete.md has all forms
#   HEARTBEAT_URL  a dead man's switch: gets a request each minute while alerts work
#
# The Docker secrets `alert_url` and `heartbeat_url` count first. URLs hold tokens: none is printed. With a first argument
# `--check`, the configuration is printed instead.
set -eu

inhibit=${INHIBIT:-/etc/alertmanager/inhibit.yml}
file=${CONFIG_FILE:-/tmp/alertmanager.yml}

secret() { # secret NAME VALUE
  if [ -s "/run/secrets/$1" ]; then cat "/run/secrets/$1"; else printf '%s\n' "$2"; fi
}

# A YAML string.
quoted() {
  printf "'"
  printf '%s' "$1" | sed "s/'/''/g" | tr -d '\r\n'
  printf "'"
}

# Without the %XX of a URL.
decoded() {
  printf '%b' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/%\([0-9A-Fa-f][0-9A-Fa-f]\)/\\x\1/g')"
}

# A webhook, with the credentials of its URL as members of their own: Alertmanager shows URLs, not passwords.
webhook() { # webhook URL [SEND_RESOLVED]
  scheme=${1%%://*}
  rest=${1#*://}
  authority=${rest%%[/?]*}
  case $authority in
    *@*)
      login=${authority%@*}
      printf '  - url: %s\n' "$(quoted "$scheme://${rest#"$login"@}")"
      password=
      case $login in *:*) password=${login#*:} ;; esac
      printf '    http_config: {basic_auth: {username: %s, password: %s}}\n' \
        "$(quoted "$(decoded "${login%%:*}")")" "$(quoted "$(decoded "$password")")"
      ;;
    *) printf '  - url: %s\n' "$(quoted "$1")" ;;
  esac
  printf '    send_resolved: %s\n' "${2:-true}"
}

fail() {
  echo "cannot use $1" >&2
  exit 1
}

# Alertmanager would print a URL that it cannot read, with its token.
check() { # check NAME URL
  case $2 in *[[:space:][:cntrl:]]*) fail "$1: a URL has no spaces and no line breaks" ;; esac
  if printf '%s' "$2" | sed 's/%[0-9A-Fa-f][0-9A-Fa-f]//g' | grep -q %; then
    fail "$1: it has a % without two hexadecimal digits: write %25"
  fi
  host=${2#*://}
  host=${host%%[/?#]*}
  host=${host##*@}
  case ${host#\[*\]} in
    *:*[!0-9]*) fail "$1: its port is not a number; in a password, write / as %2F and @ as %40" ;;
  esac
}

# The part of a URL that no log may have: without scheme and credentials; of Telegram the token.
address() { # address URL
  rest=${1#*://}
  case $1 in
    telegram://*) rest=${rest%@*} ;;
    *) authority=${rest%%[/?]*} && rest=${authority##*@}${rest#"$authority"} ;;
  esac
  printf '%s' "$rest"
}

# Copies lines without these texts.
hide() { # hide TEXT…
  while IFS= read -r line; do
    for text; do
      shown=
      while [ -n "$text" ]; do
        case $line in
          *"$text"*) shown=$shown${line%%"$text"*}'<secret>' && line=${line#*"$text"} ;;
          *) break ;;
        esac
      done
      line=$shown$line
    done
    printf '%s\n' "$line"
  done
}

# ntfy formats what Alertmanager sends by a template of its own, since version 2.14.
ntfy() { # ntfy URL
  echo '- name: ntfy'
  echo '  webhook_configs:'
  case $1 in
    *[?\&]template=*) webhook "$1" ;;
    *\?*) webhook "$1&template=alertmanager" ;;
    *) webhook "$1?template=alertmanager" ;;
  esac
}

person() {
  case $url in
    '')
      echo '- name: no receiver, set ALERT_URL'
      ;;
    https://hooks.slack.com/* | slack+http://?* | slack+https://?*)
      cat <<YAML
- name: Slack
  slack_configs:
  - api_url: $(quoted "${url#slack+}")
    send_resolved: true
    title: '{{ template "swarm.title" . }}'
    text: '{{ template "swarm.text" . }}'
YAML
      ;;
    https://discord.com/api/webhooks/* | https://discordapp.com/api/webhooks/*)
      cat <<YAML
- name: Discord
  discord_configs:
  - webhook_url: $(quoted "$url")
    send_resolved: true
    title: '{{ template "swarm.title" . }}'
    message: '{{ template "swarm.text" . }}'
YAML
      ;;
    telegram://*@*)
      rest=${url#telegram://}
      chat=${rest##*@}
      case ${chat#-} in '' | *[!0-9]*) fail 'ALERT_URL: the chat is not a number: telegram://TOKEN@CHAT' ;; esac
      cat <<YAML
- name: Telegram
  telegram_configs:
  - bot_token: $(quoted "${rest%@*}")
    chat_id: $chat
    send_resolved: true
    parse_mode: ''
    message: '{{ template "swarm.title" . }}{{ "\n" }}{{ template "swarm.text" . }}'
YAML
      ;;
    https://ntfy.sh/?*) ntfy "$url" ;;
    ntfy://*/?*) ntfy "https://${url#ntfy://}" ;;
    ntfy+http://*/?*) ntfy "${url#ntfy+}" ;;
    http://?* | https://?*)
      echo '- name: webhook'
      echo '  webhook_configs:'
      webhook "$url"
      ;;
    *) fail 'ALERT_URL: it must begin with https://, http://, ntfy:// or telegram://TOKEN@' ;;
  esac
}

config() {
  receivers=$(person)
  name=${receivers#- name: }
  name=${name%%
*}
  cat <<YAML
route:
  receiver: $name
  group_by: [cluster, alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 12h
  routes:
YAML
  if [ -n "$heartbeat" ]; then
    echo '  - {matchers: [alertname="Watchdog"], receiver: heartbeat, group_wait: 0s, group_interval: 1m, repeat_interval: 30s}'
  fi
  cat <<YAML
  - {matchers: [severity="none"], receiver: for machines only}
templates: ['$templates']
receivers:
$receivers
- name: for machines only
YAML
  if [ -n "$heartbeat" ]; then
    echo '- name: heartbeat'
    echo '  webhook_configs:'
    webhook "$heartbeat" false
  fi
  cat "$inhibit"
}

url=$(secret alert_url "${ALERT_URL:-}")
heartbeat=$(secret heartbeat_url "${HEARTBEAT_URL:-}")
case $heartbeat in '' | http://?* | https://?*) ;; *) fail 'HEARTBEAT_URL: it must begin with https:// or http://' ;; esac
check ALERT_URL "$url"
check HEARTBEAT_URL "$heartbeat"
templates=${file%.yml}.tmpl
unset ALERT_URL HEARTBEAT_URL

umask 077
config >"$file.new"
mv "$file.new" "$file"
cat >"$templates" <<'TEMPLATE'
{{ define "swarm.title" }}{{ if eq .Status "firing" }}{{ .Alerts.Firing | len }} firing{{ else }}Resolved{{ end }}: {{ .GroupLabels.alertname }}{{ with .CommonLabels.cluster }} ({{ . }}){{ end }}{{ end }}
{{ define "swarm.text" }}{{ range .Alerts.Firing }}{{ .Annotations.summary }}. {{ .Annotations.description }}
{{ end }}{{ range .Alerts.Resolved }}Resolved: {{ .Annotations.summary }}.
{{ end }}{{ end }}
TEMPLATE

if [ "${1:-}" = --check ]; then
  cat "$file"
  exit
fi
case $url in '') echo 'ALERT_URL is empty: alerts reach no person, only the web page' >&2 ;; esac

# If it cannot send, Alertmanager logs the token of Telegram, and before 0.26 the URL of a webhook.
log=${file%.yml}.log
rm -f "$log"
mkfifo "$log"
hide "$(address "$url")" "$(address "$heartbeat")" <"$log" >&2 &
"${ALERTMANAGER:-/bin/alertmanager}" --config.file="$file" "$@" >"$log" 2>&1 &
program=$!
trap 'kill "$program"' TERM INT
trap 'kill -HUP "$program"' HUP
code=0
while :; do
  # A signal ends this, too.
  wait "$program" && code=0 || code=$?
  kill -0 "$program" 2>/dev/null || break
done
wait
exit "$code"
