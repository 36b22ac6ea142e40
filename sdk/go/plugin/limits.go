package plugin

import (
	"strings"
	"time"
	"unicode/utf8"

	"agentd.dev/sdk/go/internal/redact"
	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Sizes that the contract bounds, in bytes and entries.
const (
	maxWire         = 4 << 20   // One message on the wire, both ways.
	maxUpdate       = 512 << 10 // One update of a call.
	piece           = 256 << 10 // Where a result or its facts are cut into pieces.
	maxArguments    = 256 << 10
	maxMessage      = 2 << 10 // Text of a failure.
	maxSummary      = 4 << 10
	maxLine         = 2 << 10 // A statement, a log line, a line of progress.
	maxQuote        = 1 << 10
	maxName         = 256
	maxValue        = 4 << 10
	maxDetail       = 512 // A detail of a failure: 64 of them must fit into one update.
	maxEntries      = 64
	maxMetadata     = 16
	maxReason       = 63
	maxObservations = 500
	maxRelations    = 2000
)

const (
	defaultTimeout  = 30 * time.Second
	maxTimeout      = 24 * time.Hour
	defaultResult   = 256 << 10
	maxResult       = 8 << 20
	defaultProgress = 200 * time.Millisecond
)

// bounds is what one call keeps to.
type bounds struct {
	// timeout for this attempt; not positive is already over.
	timeout time.Duration
	// result is the largest result_json, in bytes.
	result int
	// progress is the shortest time between two updates of progress.
	progress time.Duration
}

func boundsOf(limits *toolv1.CallLimits) bounds {
	b := bounds{defaultTimeout, defaultResult, defaultProgress}
	if timeout := limits.GetTimeout(); timeout != nil {
		b.timeout = min(timeout.AsDuration(), maxTimeout)
	}
	if size := limits.GetMaxResultBytes(); size > 0 {
		b.result = min(int(size), maxResult)
	}
	if interval := limits.GetMinProgressInterval(); interval != nil {
		b.progress = max(interval.AsDuration(), 0)
	}
	return b
}

// cutMiddle cuts text to at most limit bytes, keeping head and tail, at character boundaries.
func cutMiddle(text string, limit int) string {
	const mark = " … "
	if len(text) <= limit {
		return text
	}
	room := max(limit-len(mark), 0)
	head := (room + 1) / 2
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	tail := len(text) - room/2
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + mark + text[tail:]
}

// told makes text fit to leave: UTF-8, as protobuf demands, without secrets, at most limit bytes.
func told(text string, limit int) string {
	return cutMiddle(redact.Text(strings.ToValidUTF8(text, "\uFFFD")), limit)
}

// named is told for names and keys, which are no secrets and stay.
func named(text string) string { return cutMiddle(strings.ToValidUTF8(text, "\uFFFD"), maxName) }

// toldUnder is told for a value that stands under a key.
func toldUnder(key, value string, limit int) string {
	return cutMiddle(redact.Value(key, strings.ToValidUTF8(value, "\uFFFD")), limit)
}

func first[T any](items []T, most int) []T { return items[:min(len(items), most)] }

// span gives a duration for the wire; nothing for one that is not positive.
func span(d time.Duration) *durationpb.Duration {
	if d <= 0 {
		return nil
	}
	return durationpb.New(d)
}
