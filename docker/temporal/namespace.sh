#!/bin/sh
# Makes sure of the namespace, once the server answers.
set -eu

attempts=60

namespace() {
    temporal operator namespace "$@" --namespace "$TEMPORAL_NAMESPACE"
}

for _ in $(seq "$attempts"); do
    if namespace describe >/dev/null 2>&1 || namespace create --retention "$NAMESPACE_RETENTION"; then
        exit 0
    fi
    sleep 1
done
echo "no namespace $TEMPORAL_NAMESPACE after $attempts attempts" >&2
exit 1
