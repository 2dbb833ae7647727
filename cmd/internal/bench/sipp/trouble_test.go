package sipp

import (
	"fmt"
	"strings"
	"testing"
)

const unexpected = "'2026-11-23\t08:26:38.344713\t1795422398.344713: Aborting call on unexpected message for Call-Id '%d-23225@127.70.213.226': " +
	"while expecting '%s' (index %d), received '%s\r\nVia: SIP/2.0/UDP 127.70.213.226:39269\r\n\r\n"

func TestSummarise(t *testing.T) {
	t.Parallel()
	log := "The following events occurred:\n" +
		fmt.Sprintf(unexpected, 1, "200", 4, "SIP/2.0 500 Server Internal Error") +
		fmt.Sprintf(unexpected, 2, "100", 1, "SIP/2.0 503 Service Unavailable") +
		fmt.Sprintf(unexpected, 3, "100", 1, "SIP/2.0 503 Service Unavailable") +
		fmt.Sprintf(unexpected, 4, "200", 9, "BYE sip:4001@127.70.213.226:39269 SIP/2.0") +
		"2026-11-23\t08:26: Aborting call on UDP retransmission timeout for Call-ID '5'"
	want := "2 × expected 100 (step 1), got SIP/2.0 503 Service Unavailable\n" +
		"1 × UDP retransmission timeout\n" +
		"1 × expected 200 (step 4), got SIP/2.0 500 Server Internal Error\n" +
		"1 × expected 200 (step 9), got BYE"
	if got := summarise(log); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var many strings.Builder
	for i := range troubleKinds + 2 {
		fmt.Fprintf(&many, unexpected, i, "200", i, "SIP/2.0 480 Gone")
	}
	if got := summarise(many.String()); !strings.HasSuffix(got, "and 2 other kinds") {
		t.Errorf("got %s", got)
	}
	if got := summarise("Unable to bind main socket\n"); got != "Unable to bind main socket" {
		t.Errorf("got %q", got)
	}
}
