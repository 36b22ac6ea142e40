package plugin

import (
	"math"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Entity is one object of the world: what an observation is about.
type Entity struct {
	// Kind is the Kubernetes kind, or "External" for what lies outside the cluster.
	Kind string
	// Namespace is empty for cluster-wide and outside objects.
	Namespace string
	// Name is the host that callers use, for "External".
	Name string
	// Cluster is set where there are several.
	Cluster string
	// Container narrows it to one of its containers.
	Container string
}

// Object is an object in a namespace.
func Object(kind, namespace, name string) Entity {
	return Entity{Kind: kind, Namespace: namespace, Name: name}
}

// Outside is something outside the cluster, by the host that callers use.
func Outside(host string) Entity { return Entity{Kind: "External", Name: host} }

// Observation is one typed fact about one object; it never names causes across objects. Signal,
// Subject and Statement are required.
type Observation struct {
	// Signal is a word of the catalogue such as "container.oom_killed", or one below the plugin's own
	// name.
	Signal  string
	Subject Entity
	// Statement is one line for people.
	Statement string
	// Start is when it began, End when it was last seen, as far as the source tells.
	Start, End time.Time
	// Count is how often it was seen; 0 means once.
	Count int
	// Value is measured and Baseline usual, both in Unit (UCUM style: "By", "s", "1", "1/s", "%").
	Value, Baseline *float64
	Unit            string
	// Attributes are details that rules and people need, such as "exit_code": "137".
	Attributes map[string]string
	// Quote is words of the source, cut to 1 KiB.
	Quote string
	// Peer is the other side, for what lies between two objects.
	Peer *Entity
}

// RelationKind says how two objects hang together.
type RelationKind int32

// How two objects hang together.
const (
	OwnedBy = RelationKind(toolv1.RelationKind_RELATION_KIND_OWNED_BY)
	RunsOn  = RelationKind(toolv1.RelationKind_RELATION_KIND_RUNS_ON)
	Calls   = RelationKind(toolv1.RelationKind_RELATION_KIND_CALLS)
	Uses    = RelationKind(toolv1.RelationKind_RELATION_KIND_USES)
	Selects = RelationKind(toolv1.RelationKind_RELATION_KIND_SELECTS)
	Governs = RelationKind(toolv1.RelationKind_RELATION_KIND_GOVERNS)
)

// Relation is one edge of the topology.
type Relation struct {
	From Entity
	Kind RelationKind
	To   Entity
}

func (e Entity) onWire() *toolv1.EntityRef {
	return &toolv1.EntityRef{
		Kind: named(e.Kind), Namespace: named(e.Namespace), Name: named(e.Name),
		Cluster: named(e.Cluster), Container: named(e.Container),
	}
}

func (r Relation) onWire() *toolv1.Relation {
	return &toolv1.Relation{From: r.From.onWire(), To: r.To.onWire(), Kind: toolv1.RelationKind(r.Kind)}
}

func (o Observation) onWire() *toolv1.Observation {
	start, end := o.Start, o.End
	// Both instants came from the source, so the span between them is what it told.
	if !start.IsZero() && !end.IsZero() && start.After(end) {
		start, end = end, start
	}
	wire := &toolv1.Observation{
		Signal: named(o.Signal), Subject: o.Subject.onWire(), Statement: told(o.Statement, maxLine),
		StartTime: instant(start), EndTime: instant(end), Count: small(o.Count),
		Value: finite(o.Value), Baseline: finite(o.Baseline), Unit: named(o.Unit),
		Quote: told(o.Quote, maxQuote),
	}
	if o.Peer != nil {
		wire.Peer = o.Peer.onWire()
	}
	for _, key := range first(sortedKeys(o.Attributes), maxEntries) {
		if wire.Attributes == nil {
			wire.Attributes = map[string]string{}
		}
		wire.Attributes[named(key)] = toldUnder(key, o.Attributes[key], maxValue)
	}
	return wire
}

// finite drops what is not a number: it tells nothing and spoils every comparison behind it.
func finite(value *float64) *float64 {
	if value == nil || math.IsNaN(*value) || math.IsInf(*value, 0) {
		return nil
	}
	return value
}

func instant(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	if wire := timestamppb.New(t); wire.IsValid() {
		return wire
	}
	return nil
}

func small(number int) int32 { return int32(min(max(number, 0), math.MaxInt32)) }
