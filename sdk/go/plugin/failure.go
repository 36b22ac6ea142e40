package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc/codes"
)

// Class says why a call failed, as the caller needs to know it: it decides whether agentd tries
// again and who is told.
type Class int32

// The classes of failures.
const (
	// Transient is a passing fault inside the plugin. Tried again.
	Transient = Class(toolv1.FailureClass_FAILURE_CLASS_TRANSIENT)
	// RateLimited says that a quota was hit. Tried again after RetryAfter.
	RateLimited = Class(toolv1.FailureClass_FAILURE_CLASS_RATE_LIMITED)
	// ExternalFault says that the dependency behind the tool failed. Tried again with backoff.
	ExternalFault = Class(toolv1.FailureClass_FAILURE_CLASS_EXTERNAL)
	// Invalid says that the arguments are wrong. Never tried again as they are.
	Invalid = Class(toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT)
	// Missing says that the named object does not exist. It counts as evidence, not as an outage.
	Missing = Class(toolv1.FailureClass_FAILURE_CLASS_NOT_FOUND)
	// Permission says that the plugin's identity may not do this. Needs an operator.
	Permission = Class(toolv1.FailureClass_FAILURE_CLASS_PERMISSION)
	// Config says that the plugin is set up wrongly. Needs an operator.
	Config = Class(toolv1.FailureClass_FAILURE_CLASS_CONFIG)
	// Bug is a defect in the plugin.
	Bug = Class(toolv1.FailureClass_FAILURE_CLASS_BUG)
	// Timeout says that the time allowed ran out.
	Timeout = Class(toolv1.FailureClass_FAILURE_CLASS_TIMEOUT)
	// Cancelled says that the caller withdrew the call.
	Cancelled = Class(toolv1.FailureClass_FAILURE_CLASS_CANCELLED)
)

// Effects says how far a failed call had got in changing things.
type Effects int32

// How far a failed call had got.
const (
	// EffectsUnset means EffectsNone for a read-only tool and EffectsMaybe for any other.
	EffectsUnset Effects = 0
	// EffectsNone says that nothing was changed.
	EffectsNone = Effects(toolv1.EffectState_EFFECT_STATE_NONE)
	// EffectsMaybe says that something may have been changed.
	EffectsMaybe = Effects(toolv1.EffectState_EFFECT_STATE_MAYBE)
	// EffectsApplied says that the change was made although the call failed.
	EffectsApplied = Effects(toolv1.EffectState_EFFECT_STATE_APPLIED)
)

// Violation is one wrong field, with what is wrong and how to mend it.
type Violation struct {
	// Field is a path such as "arguments.namespace".
	Field string
	// Description is for a model to act on.
	Description string
}

// Failure is a failed call, or the reason of a gap. A tool returns one as its error, alone or
// wrapped: the first in the chain counts. Any other error is a defect of the plugin.
type Failure struct {
	Class Class
	// Reason is a stable word for machines, UPPER_SNAKE_CASE.
	Reason string
	// Message is for people. Secrets are masked, and it is cut to 2 KiB.
	Message string
	// Domain says who coined the reason: a backend; the plugin when empty.
	Domain string
	// Metadata holds values named in the message, at most 16.
	Metadata map[string]string
	// RetryAfter is the earliest useful retry; 0 says nothing.
	RetryAfter time.Duration
	// Violations are the wrong fields.
	Violations []Violation
	// Resource is the missing or forbidden object, such as "v1/Pod shop/cart-0".
	Resource string
	// Effects says what may have been changed.
	Effects Effects

	// code is the gRPC code where it is not its class's usual one.
	code  codes.Code
	cause error
}

// NewFailure gives a failure of a class. The message is formatted as by fmt.Errorf: %w keeps the
// cause for errors.Is and errors.As.
func NewFailure(class Class, reason, format string, args ...any) *Failure {
	said := fmt.Errorf(format, args...)
	return &Failure{Class: class, Reason: reason, Message: said.Error(), cause: errors.Unwrap(said)}
}

// NotFound says that the object does not exist; resource names it, such as "queue orders".
func NotFound(resource string) *Failure {
	failure := NewFailure(Missing, "NOT_FOUND", "there is no %s", resource)
	failure.Resource, failure.Effects = resource, EffectsNone
	return failure
}

// External says that the dependency behind the tool failed; domain names it, such as "rabbitmq".
func External(domain, reason, format string, args ...any) *Failure {
	failure := NewFailure(ExternalFault, reason, format, args...)
	failure.Domain = domain
	return failure
}

// InvalidArgument says that one argument is wrong, and how to mend it. field is its path, such as
// "arguments.queue". Nothing has been changed.
func InvalidArgument(field, format string, args ...any) *Failure {
	how := fmt.Sprintf(format, args...)
	return invalid([]Violation{{field, how}})
}

func invalid(violations []Violation) *Failure {
	lines := make([]string, len(violations))
	for i, violation := range violations {
		lines[i] = violation.Field + ": " + violation.Description
	}
	return &Failure{
		Class: Invalid, Reason: "INVALID_ARGUMENT", Message: strings.Join(lines, "; "),
		Violations: violations, Effects: EffectsNone,
	}
}

// refusal is a failure before a call was accepted: nothing has been changed.
func refusal(class Class, reason, format string, args ...any) *Failure {
	failure := NewFailure(class, reason, format, args...)
	failure.Effects = EffectsNone
	return failure
}

// Error gives the message.
func (f *Failure) Error() string { return f.Message }

// Unwrap gives what was wrapped with %w.
func (f *Failure) Unwrap() error { return f.cause }

// failureOf makes a failure of what a tool returned.
func failureOf(err error) *Failure {
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		return failure
	case errors.Is(err, context.DeadlineExceeded):
		return NewFailure(Timeout, "TIMEOUT", "%w", err)
	case errors.Is(err, context.Canceled):
		return NewFailure(Cancelled, "CANCELLED", "%w", err)
	default:
		return NewFailure(Bug, "EXCEPTION", "the tool failed with an error that is no *plugin.Failure: %w", err)
	}
}

// codeOf gives the canonical code of each class.
var codeOf = map[Class]codes.Code{
	Transient: codes.Unavailable, RateLimited: codes.ResourceExhausted, ExternalFault: codes.Unavailable,
	Invalid: codes.InvalidArgument, Missing: codes.NotFound, Permission: codes.PermissionDenied,
	Config: codes.FailedPrecondition, Bug: codes.Internal, Timeout: codes.DeadlineExceeded,
	Cancelled: codes.Canceled,
}

// onWire gives the failure as it leaves: masked and within its bounds. domain stands where it has
// none of its own, least where the tool said nothing about effects.
func (f *Failure) onWire(domain string, least Effects) *toolv1.Failure {
	class, effects, code := f.Class, f.Effects, f.code
	usual, isKnown := codeOf[class]
	if !isKnown {
		class, usual = Bug, codes.Internal
	}
	if code == codes.OK {
		code = usual
	}
	if effects == EffectsUnset {
		effects = least
	}
	if f.Domain != "" {
		domain = named(f.Domain)
	}
	wire := &toolv1.Failure{
		FailureClass: toolv1.FailureClass(class), Code: int32(code), Message: told(f.Message, maxMessage),
		Reason: upperSnake(f.Reason), Domain: domain, Resource: told(f.Resource, maxDetail),
		RetryDelay: span(f.RetryAfter), Effects: toolv1.EffectState(effects),
	}
	for _, key := range first(slices.Sorted(maps.Keys(f.Metadata)), maxMetadata) {
		if wire.Metadata == nil {
			wire.Metadata = map[string]string{}
		}
		wire.Metadata[named(key)] = toldUnder(key, f.Metadata[key], maxDetail)
	}
	for _, violation := range first(f.Violations, maxEntries) {
		wire.Violations = append(wire.Violations, &toolv1.FieldViolation{
			Field: named(violation.Field), Description: told(violation.Description, maxDetail), Reason: "INVALID",
		})
	}
	return wire
}

// upperSnake gives a reason as the contract wants it, whatever the author wrote: UPPER_SNAKE_CASE, at
// most 63 characters, never empty.
func upperSnake(reason string) string {
	if reason == "" {
		return "UNSPECIFIED"
	}
	reason = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		default:
			return '_'
		}
	}, reason)
	return reason[:min(len(reason), maxReason)]
}
