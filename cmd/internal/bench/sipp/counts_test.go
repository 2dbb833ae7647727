package sipp

import (
	"strings"
	"testing"
)

// What SIPp 3.6.1 writes, with a repeated INVITE, a 200 that came without its 180, and a repeated 200.
const (
	callerSteps = "CurrentTime;ElapsedTime;0_INVITE_Sent;0_INVITE_Retrans;0_INVITE_Timeout;1_100_Recv;1_100_Retrans;1_100_Timeout;1_100_Unexp;" +
		"2_180_Recv;2_180_Retrans;2_180_Timeout;2_180_Unexp;3_200_Recv;3_200_Retrans;3_200_Timeout;3_200_Unexp;4_ACK_Sent;4_ACK_Retrans;" +
		"5_Pause_Sessions;5_Pause_Unexp;6_BYE_Sent;6_BYE_Retrans;6_BYE_Timeout;7_200_Recv;7_200_Retrans;7_200_Timeout;7_200_Unexp;\n" +
		"2026-11-23\t07:42:49;00:00:02;200;0;0;0;0;0;0;200;0;0;0;200;0;0;0;200;0;200;0;200;0;0;200;0;0;0;\n" +
		"2026-11-23\t07:42:50;00:00:03;300;7;0;290;0;0;0;298;0;0;1;299;5;0;0;299;5;299;0;299;2;0;299;0;0;0;\n"
	callerStat = "StartTime;TotalCallCreated;CurrentCall;SuccessfulCall(P);SuccessfulCall(C);FailedCall(P);FailedCall(C);\n" +
		"07:42:47;300;0;0;299;0;1;\n"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	for name, tail := range map[string]string{"ended": "", "writing": "2026-11-23\t07:42:51;00:00:04;30"} {
		c, err := parseCounts(callerStat, callerSteps+tail)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.Created != 300 || c.Successful != 299 || c.Failed != 1 {
			t.Errorf("%s: %d calls, %d successful, %d failed", name, c.Created, c.Successful, c.Failed)
		}
		if rang, acked := c.Received("180"), c.Sent("ACK"); rang != 298 || acked != 299 {
			t.Errorf("%s: %d rang, %d acknowledged", name, rang, acked)
		}
		if got := c.RepeatedBySelf(); got != 9 { // INVITE and BYE; an ACK only answers a repeated 200
			t.Errorf("%s: repeated %d times, want 9", name, got)
		}
		if got := c.RepeatedByPeer(); got != 5 {
			t.Errorf("%s: peer repeated %d times, want 5", name, got)
		}
		if want := (Step{Name: "180", Incoming: true, Messages: 298, Unexpected: 1}); c.Steps[2] != want {
			t.Errorf("%s: step 2 is %+v", name, c.Steps[2])
		}
	}
}

func TestNoCounts(t *testing.T) {
	t.Parallel()
	header, _, _ := strings.Cut(callerSteps, "\n")
	for name, steps := range map[string]string{
		"empty": "", "header alone": header + "\n", "row half written": header + "\n2026;1", "too few values": header + "\n2026;1\n",
		"no number": strings.Replace(callerSteps, ";7;", ";x;", 1),
	} {
		if c, err := parseCounts(callerStat, steps); err == nil {
			t.Errorf("%s: read as %+v", name, c)
		}
	}
	if _, err := parseCounts(strings.Replace(callerStat, ";299;", ";x;", 1), callerSteps); err == nil {
		t.Error("a count that is no number was read")
	}
	if c := (Counts{}); c.Received("180") != 0 || c.RepeatedByPeer() != 0 {
		t.Error("nothing is something")
	}
}
