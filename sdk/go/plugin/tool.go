package plugin

import (
	"context"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"github.com/google/jsonschema-go/jsonschema"
)

// SideEffect says what a call may change.
type SideEffect int32

// What a call may change.
const (
	readOnly = SideEffect(toolv1.SideEffect_SIDE_EFFECT_READ_ONLY)
	// Additive only adds.
	Additive = SideEffect(toolv1.SideEffect_SIDE_EFFECT_ADDITIVE)
	// Reversible may alter existing state, and the change can be undone.
	Reversible = SideEffect(toolv1.SideEffect_SIDE_EFFECT_REVERSIBLE)
	// Destructive may remove or irreversibly alter state.
	Destructive = SideEffect(toolv1.SideEffect_SIDE_EFFECT_DESTRUCTIVE)
)

// Risk is declared by the plugin; agentd's policy may raise it, never lower it.
type Risk int32

// Levels of risk.
const (
	// Low has no operational impact.
	Low = Risk(toolv1.RiskLevel_RISK_LEVEL_LOW)
	// Medium is noticeable load or exposure of internal data.
	Medium = Risk(toolv1.RiskLevel_RISK_LEVEL_MEDIUM)
	// High can degrade a workload.
	High = Risk(toolv1.RiskLevel_RISK_LEVEL_HIGH)
	// Critical can take down a service or lose data.
	Critical = Risk(toolv1.RiskLevel_RISK_LEVEL_CRITICAL)
)

// RateLimit is a ceiling on the use of a tool.
type RateLimit struct {
	// Calls allowed in each Period, and Burst more at once.
	Calls  int
	Period time.Duration
	Burst  int
	// Concurrent calls at most; 0 means no ceiling of its own.
	Concurrent int
	// Shared by all instances, as one quota of a backend is.
	Shared bool
}

// Work is what a tool does. ctx ends when the call is withdrawn or its time is over; work that goes on
// after that keeps one of the plugin's places taken.
type Work[A any] func(ctx context.Context, call *Call, arguments A) (*Output, error)

// Tool is one ability of a plugin. Its setters are for the time before the plugin runs.
type Tool struct {
	descriptor *toolv1.ToolDescriptor
	schema     *jsonschema.Schema
	faults     []error
	form       *form
	// begin reads checked arguments and gives the work, not begun yet.
	begin func(arguments string) (prepared, *Failure)
}

type prepared func(ctx context.Context, call *Call) (*Output, error)

// ReadOnly adds a tool that changes nothing, of low risk and with 30 s for an attempt. name is
// [a-z][a-z0-9_]{1,31}; description says what it does and when to use it. The schema of its arguments
// is made from A, a struct: json tags name them, omitempty makes one optional, a jsonschema tag
// describes it.
func ReadOnly[A any](p *Plugin, name, description string, work Work[A]) *Tool {
	tool := add(p, name, description, work)
	tool.descriptor.SideEffect = toolv1.SideEffect_SIDE_EFFECT_READ_ONLY
	tool.descriptor.Risk = toolv1.RiskLevel_RISK_LEVEL_LOW
	tool.descriptor.Idempotency = toolv1.Idempotency_IDEMPOTENCY_NATURAL
	return tool
}

// Changing adds a tool that changes something; otherwise as ReadOnly.
func Changing[A any](p *Plugin, name, description string, what SideEffect, risk Risk, work Work[A]) *Tool {
	tool := add(p, name, description, work)
	tool.descriptor.SideEffect = toolv1.SideEffect(what)
	tool.descriptor.Risk = toolv1.RiskLevel(risk)
	tool.descriptor.Idempotency = toolv1.Idempotency_IDEMPOTENCY_NONE
	return tool
}

func add[A any](p *Plugin, name, description string, work Work[A]) *Tool {
	tool := &Tool{descriptor: &toolv1.ToolDescriptor{
		Name: name, Version: "1.0.0", Description: description, Timeout: span(defaultTimeout),
		Approval: toolv1.ApprovalRequirement_APPROVAL_REQUIREMENT_BY_POLICY,
	}}
	schema, err := schemaOf[A]()
	if err != nil {
		tool.faults = append(tool.faults, err)
	}
	tool.schema = schema
	tool.begin = func(text string) (prepared, *Failure) {
		arguments, failure := read[A](text, tool.descriptor.GetSensitiveArguments())
		if failure != nil {
			return nil, failure
		}
		return func(ctx context.Context, call *Call) (*Output, error) { return work(ctx, call, arguments) }, nil
	}
	p.tools = append(p.tools, tool)
	return tool
}

// Version is the semantic version of the tool's contract; 1.0.0 unless set. Several versions of one
// name may stand side by side, the newest added last.
func (t *Tool) Version(version string) *Tool {
	t.descriptor.Version = version
	return t
}

// Title is short and for people.
func (t *Tool) Title(title string) *Tool {
	t.descriptor.Title = title
	return t
}

// Applies says when it is asked without a model. May be given several times.
func (t *Tool) Applies(applies ...Applies) *Tool {
	for _, one := range applies {
		if err := one.fault(); err != nil {
			t.faults = append(t.faults, err)
		}
		t.descriptor.Applies = append(t.descriptor.Applies, one.wire)
	}
	return t
}

// Permissions are what the plugin needs at the target, such as "k8s:pods/get".
func (t *Tool) Permissions(permissions ...string) *Tool {
	t.descriptor.Permissions = permissions
	return t
}

// Timeout is the time one attempt may take; 30 s unless set.
func (t *Tool) Timeout(timeout time.Duration) *Tool {
	t.descriptor.Timeout = span(timeout)
	return t
}

// MaxAttempts counts the first one in; 1 means that it is never tried again.
func (t *Tool) MaxAttempts(attempts int) *Tool {
	t.descriptor.Retry = &toolv1.RetryPolicy{MaxAttempts: small(attempts)}
	return t
}

// RateLimit is a ceiling on its use.
func (t *Tool) RateLimit(limit RateLimit) *Tool {
	t.descriptor.RateLimit = &toolv1.RateLimit{
		Calls: small(limit.Calls), Period: span(limit.Period), Burst: small(limit.Burst),
		MaxConcurrent: small(limit.Concurrent), SharedAcrossInstances: limit.Shared,
	}
	return t
}

// TypicalLatency is for planning: cheaper questions are asked first.
func (t *Tool) TypicalLatency(latency time.Duration) *Tool {
	t.descriptor.Cost = &toolv1.CostHint{TypicalLatency: span(latency)}
	return t
}

// Cached lets agentd use a result again for as long as ttl; shared says for anybody, not only for who
// asked. Only honoured for read-only tools.
func (t *Tool) Cached(ttl time.Duration, shared bool) *Tool {
	t.descriptor.Cache = &toolv1.CachePolicy{Ttl: span(ttl), Scope: toolv1.CacheScope_CACHE_SCOPE_PRIVATE}
	if shared {
		t.descriptor.Cache.Scope = toolv1.CacheScope_CACHE_SCOPE_SHARED
	}
	return t
}

// AlwaysAsk demands a person's approval for each call.
func (t *Tool) AlwaysAsk() *Tool {
	t.descriptor.Approval = toolv1.ApprovalRequirement_APPROVAL_REQUIREMENT_ALWAYS
	return t
}

// ReportsProgress says that long calls do.
func (t *Tool) ReportsProgress() *Tool {
	t.descriptor.ReportsProgress = true
	return t
}

// Keyed makes calls with one idempotency key act once: the SDK keeps how the first one ended for an
// hour and tells it again, also to a second one that comes while the first still runs. Where work
// failed and did not say EffectsNone, that failure is what is told again.
func (t *Tool) Keyed() *Tool {
	t.descriptor.Idempotency = toolv1.Idempotency_IDEMPOTENCY_KEYED
	return t
}

// Natural says that repeating a call has no further effect.
func (t *Tool) Natural() *Tool {
	t.descriptor.Idempotency = toolv1.Idempotency_IDEMPOTENCY_NATURAL
	return t
}

// DryRun says that the tool looks at Call.DryRun and then changes nothing and fills
// Output.PlannedEffects.
func (t *Tool) DryRun() *Tool {
	t.descriptor.SupportsDryRun = true
	return t
}

// UndoneBy names the tool of the same plugin that undoes this one; byCallID says that it takes
// {"call_id": …} as well, for calls whose result was lost. Reversible tools need it.
func (t *Tool) UndoneBy(tool string, byCallID bool) *Tool {
	t.descriptor.Compensation = &toolv1.CompensationSpec{Tool: tool, AcceptsCallId: byCallID}
	return t
}

// Sensitive names arguments whose values are masked in logs, events and audit.
func (t *Tool) Sensitive(arguments ...string) *Tool {
	t.descriptor.SensitiveArguments = arguments
	return t
}

// Example gives arguments, as JSON, that are valid and harmless. May be given several times.
func (t *Tool) Example(title, arguments string) *Tool {
	t.descriptor.Examples = append(t.descriptor.Examples, &toolv1.ToolExample{Title: title, ArgumentsJson: arguments})
	return t
}

// Label helps to select it, such as "domain": "network".
func (t *Tool) Label(key, value string) *Tool {
	if t.descriptor.Labels == nil {
		t.descriptor.Labels = map[string]string{}
	}
	t.descriptor.Labels[key] = value
	return t
}

// Deprecated says that a newer version should be used, and which.
func (t *Tool) Deprecated(instead string) *Tool {
	t.descriptor.Deprecation = instead
	return t
}

// Narrow changes the schema that was made from the type, for what a type cannot say: an enum, a range,
// a pattern.
func (t *Tool) Narrow(change func(arguments *jsonschema.Schema)) *Tool {
	if t.schema != nil {
		change(t.schema)
	}
	return t
}

// Returns says what Output.Result looks like: the schema of v's type. A result of another shape is a
// defect of the plugin.
func (t *Tool) Returns(v any) *Tool {
	schema, err := resultSchema(v)
	if err != nil {
		t.faults = append(t.faults, err)
	}
	t.descriptor.OutputSchemaJson = schema
	return t
}

func (t *Tool) isReadOnly() bool { return SideEffect(t.descriptor.GetSideEffect()) == readOnly }

// finish makes the descriptor and the form, once all is set.
func (t *Tool) finish() []error {
	if t.schema == nil {
		return t.faults
	}
	form, text, err := newForm(t.schema, t.descriptor.GetSensitiveArguments())
	if err != nil {
		return append(t.faults, err)
	}
	t.form, t.descriptor.InputSchemaJson = form, text
	return t.faults
}
