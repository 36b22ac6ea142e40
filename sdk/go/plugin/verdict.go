package plugin

import (
	"fmt"
	"log/slog"
	"strings"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// protocol is the one revision of the contract that this SDK speaks.
const protocol = 1

// RefusedError says that agentd does not want the plugin, for a reason that trying again does not mend.
type RefusedError struct {
	// URL of the agentd that was asked.
	URL string
	// Reason is what it says, Remedy what to change.
	Reason, Remedy string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("agentd at %s refused the plugin: %s; %s", e.URL, e.Reason, e.Remedy)
}

// judge logs every rejection and warning of an answer to Register. It fails when nothing is left to
// serve, or agentd chose a revision that this SDK does not speak.
func judge(response *toolv1.RegisterResponse, url string) error {
	if chosen := response.GetProtocol(); chosen != 0 && chosen != protocol {
		return &RefusedError{
			URL:    url,
			Reason: fmt.Sprintf("it chose revision %d of agentd.tool.v1, this plugin speaks %d", chosen, protocol),
			Remedy: "build the plugin with a newer SDK or use an older agentd",
		}
	}
	advise(response.GetWarnings())
	accepted := 0
	var rejected, rejections []string
	for _, verdict := range response.GetVerdicts() {
		tool := verdict.GetTool().GetTool()
		for _, warning := range verdict.GetWarnings() {
			slog.Warn("agentd has advice on a tool", "tool", tool, "warning", warning)
		}
		switch {
		case verdict.GetAccepted():
			accepted++
		case verdict.GetQuarantined():
			accepted++
			slog.Warn("a person must accept this tool before it is called", "tool", tool)
		default:
			rejected = append(rejected, tool)
			rejections = append(rejections, tool+": "+rejectionOf(verdict))
		}
	}
	if accepted == 0 && len(rejections) > 0 {
		return &RefusedError{
			URL: url, Reason: "it accepted none of the tools: " + strings.Join(rejections, "; "),
			Remedy: "mend what it names in the plugin",
		}
	}
	for at, tool := range rejected {
		slog.Error("agentd rejected a tool; the others are served", "tool", tool, "why", rejections[at])
	}
	return nil
}

func advise(warnings []string) {
	for _, warning := range warnings {
		slog.Warn("agentd has advice", "warning", warning)
	}
}

func rejectionOf(verdict *toolv1.ToolVerdict) string {
	failure := verdict.GetRejection()
	if failure == nil {
		return "no reason given"
	}
	why := failure.GetReason() + " " + failure.GetMessage()
	return why + fieldsOf(failure.GetViolations(), failure.GetMessage())
}

// fieldsOf gives each wrong field that the message before it does not tell already.
func fieldsOf[V interface {
	GetField() string
	GetDescription() string
}](violations []V, message string) string {
	said := ""
	for _, violation := range violations {
		if wrong := violation.GetField() + ": " + violation.GetDescription(); !strings.Contains(message, wrong) {
			said += "; " + wrong
		}
	}
	return said
}

// refused gives the error to stop with, or nothing when trying again may help. Decided on codes, never
// on text.
func refused(err error, url string) error {
	remedy := ""
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated:
		remedy = "give the plugin a registration token for its name in AGENTD_PLUGIN_TOKEN or " +
			"AGENTD_PLUGIN_TOKEN_FILE, or register under another name"
	case codes.FailedPrecondition:
		remedy = "use an agentd and an SDK that speak the same revision of agentd.tool.v1"
	case codes.InvalidArgument:
		remedy = "mend what it names, in the plugin or in its settings"
	case codes.AlreadyExists:
		remedy = "raise the version of what was changed, or stop the plugin that holds the name"
	default:
		return nil
	}
	return &RefusedError{URL: url, Reason: reasonOf(err), Remedy: remedy}
}

// reasonOf gives agentd's words with its typed details: the reason for machines and each wrong field.
func reasonOf(err error) string {
	said := status.Convert(err)
	reason := fmt.Sprintf("%s (%s", said.Message(), said.Code())
	fields := ""
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason += ", " + detail.GetReason()
		case *errdetails.BadRequest:
			fields += fieldsOf(detail.GetFieldViolations(), said.Message())
		}
	}
	return reason + ")" + fields
}
