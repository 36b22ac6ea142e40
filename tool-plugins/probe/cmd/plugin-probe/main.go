// plugin-probe is agentd's plugin that looks from outside: DNS, TCP, TLS and HTTP.
package main

import (
	"errors"
	"log/slog"
	"os"

	"agentd.dev/plugins/probe"
	"agentd.dev/sdk/go/plugin"
)

func main() {
	settings, err := probe.SettingsFromEnvironment(os.Getenv)
	// The plugin's own settings are looked at, too, so that all that is wrong is told together.
	if _, general := plugin.FromEnvironment(); err != nil {
		slog.Error(errors.Join(err, general).Error(), "plugin", "probe")
		os.Exit(2)
	}
	if settings.Allow.IsEmpty() {
		slog.Warn("nothing may be probed: set PROBE_ALLOW to the names and networks that may")
	}
	probe.New(settings).Main()
}
