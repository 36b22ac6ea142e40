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
	if err != nil {
		// The settings that every plugin has are looked at, too: all that is wrong is told together.
		_, general := plugin.FromEnvironment()
		var all plugin.SettingsError
		for _, err := range []error{err, general} {
			if wrong, isSettings := errors.AsType[*plugin.SettingsError](err); isSettings {
				all.Faults = append(all.Faults, wrong.Faults...)
			}
		}
		slog.Error(all.Error(), "plugin", "probe")
		os.Exit(2)
	}
	if settings.Allow.IsEmpty() {
		slog.Warn("nothing may be probed: set PROBE_ALLOW to the names and networks that may")
	}
	probe.New(settings).Main()
}
