package e2e

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// record is what mssctl cdr list prints of a call.
type record struct {
	ID        string    `json:"id"`
	SessionID string    `json:"session_id"`
	CallID    string    `json:"call_id"`
	Caller    string    `json:"caller"`
	Called    string    `json:"called"`
	SetupAt   time.Time `json:"setup_at"`
	AnswerAt  time.Time `json:"answer_at"`
	EndAt     time.Time `json:"end_at"`
	Recovered bool      `json:"recovered"`
	End       string    `json:"end"`
	Reason    string    `json:"reason"`
}

// records are the records of a caller's leg.
func records(t *testing.T, n *node.Node, callID string) []record {
	t.Helper()
	return recordsOf(t, n, func(r record) bool { return r.CallID == callID })
}

// recordsOf are the records that are meant. A node that has just started is asked again.
func recordsOf(t *testing.T, n *node.Node, meant func(record) bool) []record {
	t.Helper()
	var text string
	var err error
	eventually(t, "mssctl's answer", func() bool {
		text, err = n.Ctl(limit(t), "cdr", "list", "-o", "json")
		return err == nil
	}, &err)
	var all []record
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("cdr list: %v in %s", err, text)
	}
	return slices.DeleteFunc(all, func(r record) bool { return !meant(r) })
}

// oneRecord wants exactly one record of a call, with times within a second of what the phones saw.
func oneRecord(t *testing.T, n *node.Node, out, in *phone.Call) record {
	t.Helper()
	return oneRecordOf(t, n, func(r record) bool { return r.CallID == out.ID() }, out, in)
}

func oneRecordOf(t *testing.T, n *node.Node, meant func(record) bool, out, in *phone.Call) record {
	t.Helper()
	var got []record
	eventually(t, "the call's record", func() bool { got = recordsOf(t, n, meant); return len(got) > 0 })
	if len(got) != 1 {
		t.Fatalf("%d records of one call: %+v", len(got), got)
	}
	ended := out.Times().Ended
	if in.Times().Ended.Before(ended) {
		ended = in.Times().Ended
	}
	for what, times := range map[string][2]time.Time{
		"setup": {got[0].SetupAt, out.Times().Started}, "answer": {got[0].AnswerAt, in.Times().Answered}, "end": {got[0].EndAt, ended},
	} {
		if d := times[0].Sub(times[1]).Abs(); d > time.Second {
			t.Errorf("the record's time of %s is %v from what the phones saw: %+v", what, d, got[0])
		}
	}
	return got[0]
}
