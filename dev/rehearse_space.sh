#!/usr/bin/env bash
# Deploys what is committed as a Space does: a fresh folder, Python 3.12, torch first, then the requirements and app.py.
#
#   dev/rehearse_space.sh [PYTHON]     SPACE_TORCH=2.11.0 names the torch that is there before the requirements
set -euo pipefail
cd "$(dirname "$0")/.."
python="${1:-python3.12}"
folder="$(mktemp -d)"
server=""
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; wait; rm -rf "$folder"' EXIT

git archive HEAD | tar -x -C "$folder"
cd "$folder"
"$python" -m venv .venv
.venv/bin/pip install --quiet "torch==${SPACE_TORCH:-2.11.0}"
.venv/bin/pip install --quiet -r requirements.txt
port="$(.venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
GRADIO_SERVER_PORT="$port" .venv/bin/python app.py &
server=$!
.venv/bin/python - "$port" <<'PYTHON'
import sys, time, urllib.request
from gradio_client import Client, handle_file

address = f"http://127.0.0.1:{sys.argv[1]}"
for _ in range(300):
    try:
        urllib.request.urlopen(f"{address}/healthz", timeout=5)
        break
    except OSError:
        time.sleep(1)
said = Client(address, verbose=False).predict(
    handle_file("assets/example/longt5-explained.pdf"), "", {}, "", api_name="/summarize"
)
assert said["sentences"] and said["sentences"][0]["evidence"], said
print(f"{len(said['sentences'])} sentences, each with its evidence.")
PYTHON
