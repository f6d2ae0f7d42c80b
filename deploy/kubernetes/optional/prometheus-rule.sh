#!/bin/sh
# Prints deploy/alerts.yaml as a PrometheusRule: deploy/kubernetes/optional/prometheus-rule.sh | kubectl apply -f -
cat <<'END'
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: copilot-gateway
  namespace: copilot-gateway
  labels:
    app.kubernetes.io/name: copilot-gateway
spec:
END
sed 's/^/  /' "$(dirname "$0")/../../alerts.yaml"
