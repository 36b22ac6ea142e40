package plugin

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/protobuf/proto"
)

// Polarity says what a signal tells reasoning.
type Polarity int32

// What a signal tells.
const (
	// Neutral is shown, without weight.
	Neutral = Polarity(toolv1.SignalPolarity_SIGNAL_POLARITY_NEUTRAL)
	// Harm says that something is wrong.
	Harm = Polarity(toolv1.SignalPolarity_SIGNAL_POLARITY_HARM)
	// Health says that something was looked at and is fine.
	Health = Polarity(toolv1.SignalPolarity_SIGNAL_POLARITY_HEALTH)
	// Change says that the world was altered.
	Change = Polarity(toolv1.SignalPolarity_SIGNAL_POLARITY_CHANGE)
)

// Plugin is a name, a version and tools. Put it together with New, ReadOnly and Changing, then Run it.
type Plugin struct {
	catalog *toolv1.PluginCatalog
	tools   []*Tool
	faults  []error
	sealed  sync.Once
}

// New gives a plugin without tools. name is [a-z][a-z0-9_]{1,23}; version is the software's semantic
// version.
func New(name, version string) *Plugin {
	return &Plugin{catalog: &toolv1.PluginCatalog{Plugin: name, Version: version, MinProtocol: protocol, MaxProtocol: protocol}}
}

// Title is for people.
func (p *Plugin) Title(title string) *Plugin {
	p.catalog.Title = title
	return p
}

// Contact says who answers for it: a team, an address or a page.
func (p *Plugin) Contact(contact string) *Plugin {
	p.catalog.Contact = contact
	return p
}

// Signal explains a signal of the plugin's own, so that it counts when causes are weighed. name is
// below the plugin's, "{plugin}.{signal}", and may be given without it.
func (p *Plugin) Signal(name, meaning string, polarity Polarity) *Plugin {
	below := p.catalog.GetPlugin() + "."
	if !strings.Contains(name, ".") {
		name = below + name
	}
	if !strings.HasPrefix(name, below) {
		p.faults = append(p.faults, fmt.Errorf("signal %s is not below %s, the plugin's name", name, p.catalog.GetPlugin()))
	}
	p.catalog.Signals = append(p.catalog.Signals, &toolv1.SignalDescriptor{
		Name: name, Meaning: meaning, Polarity: toolv1.SignalPolarity(polarity),
	})
	return p
}

// Cause brings a cause of the plugin's own, a YAML document in the form of agentd's catalogue; it
// rests on a signal of the plugin's own. agentd checks it at registration and says in the log what it
// leaves out.
func (p *Plugin) Cause(document string) *Plugin {
	p.catalog.CauseDocuments = append(p.catalog.CauseDocuments, document)
	return p
}

// Catalog gives what is announced to agentd. The plugin cannot be changed after that.
func (p *Plugin) Catalog() *toolv1.PluginCatalog {
	p.seal()
	return proto.CloneOf(p.catalog)
}

// seal finishes all tools, once.
func (p *Plugin) seal() {
	p.sealed.Do(func() {
		seen := map[string]bool{}
		for _, tool := range p.tools {
			name := tool.descriptor.GetName() + " " + tool.descriptor.GetVersion()
			for _, fault := range tool.finish() {
				p.faults = append(p.faults, fmt.Errorf("tool %s: %w", name, fault))
			}
			if seen[name] {
				p.faults = append(p.faults, fmt.Errorf("tool %s is there twice", name))
			}
			seen[name] = true
			p.catalog.Tools = append(p.catalog.Tools, tool.descriptor)
		}
		if len(p.tools) == 0 {
			p.faults = append(p.faults, errors.New("it has no tools"))
		}
	})
}
