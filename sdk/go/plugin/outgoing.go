package plugin

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"agentd.dev/sdk/go/internal/redact"
	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/protobuf/proto"
)

// envelope is the space left in the last update for everything that is neither result nor facts.
const envelope = 128 << 10

// settled is how a call's work ended, masked and apart from the author's values, so that it can be
// told again as it was.
type settled struct {
	// result holds everything but result_json and facts; nothing when the call failed.
	result  *toolv1.CallResult
	json    string
	facts   *toolv1.ResultFacts
	failure *toolv1.Failure
}

// size is about how much memory it holds, in bytes.
func (s settled) size() int {
	return len(s.json) + proto.Size(s.facts) + proto.Size(s.result) + proto.Size(s.failure)
}

// settle takes over what a tool returned. domain is the plugin's name; least what a failure says about
// effects unless the tool did.
func settle(output *Output, err error, domain string, least Effects) settled {
	if err != nil {
		return settled{failure: failureOf(err).onWire(domain, least)}
	}
	if output == nil {
		output = &Output{}
	}
	text := ""
	if output.Result != nil {
		if text, err = written(output.Result); err != nil {
			failure := NewFailure(Bug, "RESULT_NOT_JSON", "the result cannot be written as JSON: %w", err)
			return settled{failure: failure.onWire(domain, least)}
		}
	}
	result := &toolv1.CallResult{
		Summary: told(output.Summary, maxSummary), NextPageToken: strings.ToValidUTF8(output.NextPage, "\uFFFD"),
		ObserveTime: instant(output.ObservedAt),
		Truncated: output.Truncated || len(output.Observations) > maxObservations ||
			len(output.Relations) > maxRelations || len(output.Gaps) > maxEntries || len(output.Links) > maxEntries,
	}
	for _, gap := range first(output.Gaps, maxEntries) {
		why := gap.Why
		if why == nil {
			why = NewFailure(Bug, "UNSPECIFIED", "no reason was given")
		}
		result.Gaps = append(result.Gaps, &toolv1.ResultGap{
			Subject: told(gap.Subject, maxLine), Failure: failureOf(why).onWire(domain, EffectsNone),
		})
	}
	for _, link := range first(output.Links, maxEntries) {
		result.Links = append(result.Links, &toolv1.ResultLink{Title: told(link.Title, maxLine), Uri: told(link.URI, maxValue)})
	}
	for _, undo := range first(output.Compensations, maxEntries) {
		arguments, err := written(undo.Arguments)
		if err != nil {
			failure := NewFailure(Bug, "COMPENSATION_NOT_JSON", "the arguments of an undo cannot be written as JSON: %w", err)
			failure.Effects = EffectsApplied
			return settled{failure: failure.onWire(domain, least)}
		}
		// The arguments are sent back to this plugin as they are, so nothing in them is masked.
		result.Compensations = append(result.Compensations, &toolv1.Compensation{
			Tool: named(undo.Tool), ArgumentsJson: arguments, Summary: told(undo.Summary, maxLine), ExpireTime: instant(undo.Until),
		})
	}
	for _, effect := range first(output.PlannedEffects, maxEntries) {
		result.PlannedEffects = append(result.PlannedEffects, told(effect, maxLine))
	}
	if used := output.Usage; used != (Usage{}) {
		result.Usage = &toolv1.CallUsage{
			BackendRequests: small(used.Requests), CostUsd: used.USD, BackendTime: span(used.Backend),
		}
	}
	return settled{result: result, json: redact.JSON(text), facts: factsOf(output)}
}

func factsOf(output *Output) *toolv1.ResultFacts {
	facts := &toolv1.ResultFacts{}
	for _, observation := range first(output.Observations, maxObservations) {
		facts.Observations = append(facts.Observations, observation.onWire())
	}
	for _, relation := range first(output.Relations, maxRelations) {
		facts.Relations = append(facts.Relations, relation.onWire())
	}
	return facts
}

// updates gives what ends a call: pieces first, then the last update. resultBytes bounds result_json.
func (s settled) updates(resultBytes int) []*toolv1.CallResponse {
	if s.failure != nil {
		return []*toolv1.CallResponse{failed(s.failure)}
	}
	result := proto.CloneOf(s.result)
	text := s.json
	if len(text) > resultBytes {
		result.Truncated, result.TotalBytes = true, int64(len(text))
		text = headOf(text, resultBytes)
	}
	var updates []*toolv1.CallResponse
	if len(text)+proto.Size(s.facts) <= maxUpdate-envelope {
		result.ResultJson, result.Observations, result.Relations = text, s.facts.GetObservations(), s.facts.GetRelations()
	} else {
		updates = factPieces(s.facts)
		if len(text) <= piece {
			result.ResultJson = text
		} else {
			updates = append(updates, jsonPieces(text)...)
		}
	}
	// What is left has bounds of its own that may add up to more than an update holds.
	for proto.Size(result) > maxUpdate-maxLine && len(result.Gaps)+len(result.Links) > 0 {
		result.Truncated = true
		if n := len(result.Gaps); n > 0 {
			result.Gaps = result.Gaps[:n-1]
		} else {
			result.Links = result.Links[:len(result.Links)-1]
		}
	}
	return append(updates, &toolv1.CallResponse{Update: &toolv1.CallResponse_Result{Result: result}})
}

func failed(failure *toolv1.Failure) *toolv1.CallResponse {
	return &toolv1.CallResponse{Update: &toolv1.CallResponse_Failure{Failure: failure}}
}

// written gives v as JSON, with `<`, `>` and `&` as they are.
func written(v any) (string, error) {
	if raw, isRaw := v.(json.RawMessage); isRaw && !json.Valid(raw) {
		_, err := json.Marshal(raw)
		return "", err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.ToValidUTF8(out.String(), "\uFFFD"), "\n"), nil
}

// headOf gives a valid JSON document of at most limit bytes that holds the beginning of text.
func headOf(text string, limit int) string {
	const before, after = `{"truncated":true,"head":"`, `"}`
	if limit < len(before)+len(after) {
		if limit >= 2 {
			return "{}"
		}
		return ""
	}
	var out strings.Builder
	out.WriteString(before)
	end := limit - len(after)
	for _, r := range text {
		// JSON holds no raw control characters that matter, so these two are all there is to escape.
		if unicode.IsControl(r) {
			continue
		}
		size := utf8.RuneLen(r)
		isEscaped := r == '"' || r == '\\'
		if isEscaped {
			size++
		}
		if out.Len()+size > end {
			break
		}
		if isEscaped {
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	out.WriteString(after)
	return out.String()
}

func jsonPieces(text string) []*toolv1.CallResponse {
	var pieces []*toolv1.CallResponse
	for text != "" {
		cut := min(piece, len(text))
		for cut < len(text) && !utf8.RuneStart(text[cut]) {
			cut--
		}
		chunk := &toolv1.ResultChunk{JsonFragment: text[:cut]}
		pieces = append(pieces, &toolv1.CallResponse{Update: &toolv1.CallResponse_Chunk{Chunk: chunk}})
		text = text[cut:]
	}
	return pieces
}

func factPieces(facts *toolv1.ResultFacts) []*toolv1.CallResponse {
	var pieces []*toolv1.CallResponse
	current, size := &toolv1.ResultFacts{}, 0
	room := func(more int) {
		if size > 0 && size+more > piece {
			pieces = append(pieces, &toolv1.CallResponse{Update: &toolv1.CallResponse_Facts{Facts: current}})
			current, size = &toolv1.ResultFacts{}, 0
		}
		size += more
	}
	// Tag and length of an entry take at most 8 bytes more.
	for _, observation := range facts.GetObservations() {
		room(proto.Size(observation) + 8)
		current.Observations = append(current.Observations, observation)
	}
	for _, relation := range facts.GetRelations() {
		room(proto.Size(relation) + 8)
		current.Relations = append(current.Relations, relation)
	}
	if size > 0 {
		pieces = append(pieces, &toolv1.CallResponse{Update: &toolv1.CallResponse_Facts{Facts: current}})
	}
	return pieces
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
