package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestErrorTextAndKind(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("start: %w", &Error{Op: "open store", Kind: Conflict, Subject: "state", Err: io.EOF})
	if got, want := err.Error(), "start: open store: state: conflict: EOF"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if KindOf(err) != Conflict || !errors.Is(err, io.EOF) {
		t.Errorf("kind %v, is EOF %v", KindOf(err), errors.Is(err, io.EOF))
	}
	if KindOf(io.EOF) != Internal || Kind(200).SIPStatus() != 500 {
		t.Error("an unclassified error must be internal")
	}
}
