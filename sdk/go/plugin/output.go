package plugin

import "time"

// Output is the outcome of a call that succeeded, perhaps with holes.
type Output struct {
	// Result is the structured part: anything that encoding/json writes. Integers keep their digits.
	Result any
	// Summary is a few lines for a model or a person, cut to 4 KiB.
	Summary string
	// Observations are the typed facts: reasoning works on these, not on Result. At most 500.
	Observations []Observation
	// Relations are edges of the topology met on the way. At most 2000.
	Relations []Relation
	// Gaps name holes in an otherwise usable outcome.
	Gaps []Gap
	// Links are references for people.
	Links []Link
	// Compensations undo what was done, the newest last.
	Compensations []Compensation
	// PlannedEffects says what a dry run would have changed, one line each.
	PlannedEffects []string
	// Usage is what the call cost.
	Usage Usage
	// ObservedAt is the time the data describes; zero means the time of the call.
	ObservedAt time.Time
	// Truncated says that something was left out; NextPage continues there, when it is not empty.
	Truncated bool
	NextPage  string
}

// Gap is something that was wanted and could not be had.
type Gap struct {
	// Subject is what is missing, such as "logs of pod b-2".
	Subject string
	// Why is a *Failure, or any other error.
	Why error
}

// Link is a dashboard, a log query, an object.
type Link struct {
	Title string
	// URI is absolute.
	URI string
}

// Compensation is a call that undoes what this one did.
type Compensation struct {
	// Tool is one of the same plugin.
	Tool string
	// Arguments are written as JSON.
	Arguments any
	// Summary is one line for the person who approves it.
	Summary string
	// Until is when the undo may no longer work; zero says nothing.
	Until time.Time
}

// Usage is what a call really used.
type Usage struct {
	// Requests made to the backend.
	Requests int
	// USD is the money spent, in US dollars.
	USD float64
	// Backend is the time spent waiting for the backend.
	Backend time.Duration
}
