package sipheader

import "testing"

func TestWithoutTag(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`<sip:a@example.org>;tag=1`:                  `<sip:a@example.org>`,
		`"x;tag=9>" <sip:a@example.org;tag=2>;tag=1`: `"x;tag=9>" <sip:a@example.org;tag=2>`,
		`<sip:a@example.org>;x=1 ; TAG = 5;y=2`:      `<sip:a@example.org>;x=1 ;y=2`,
		`sip:a@example.org;tag=1`:                    `sip:a@example.org`,
		`<sip:a@example.org>;tagged=1`:               `<sip:a@example.org>;tagged=1`,
		`<sip:a@example.org>`:                        `<sip:a@example.org>`,
	} {
		if got := WithoutTag(value); got != want {
			t.Errorf("%s\n got %s\nwant %s", value, got, want)
		}
	}
}

func TestDisplayName(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"Alice \"A\" <b>" <sip:a@example.org>`: `Alice "A" <b>`,
		`Alice B <sip:a@example.org>`:           `Alice B`,
		`<sip:a@example.org>`:                   ``,
		`sip:a@example.org`:                     ``,
		`"open`:                                 ``,
	} {
		if got := DisplayName(value); got != want {
			t.Errorf("%s: got %q, want %q", value, got, want)
		}
	}
}

func TestLineCannotBeSplit(t *testing.T) {
	t.Parallel()
	if got, want := string(Line(nil, "Subject", "a\r\nTo: x")), "Subject: a  To: x\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := string(Quoted(nil, "a\"b\\c\r\n")), `"a\"b\\c  "`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCompactNames(t *testing.T) {
	t.Parallel()
	if !Is("K", "supported") || !Is("Session-Expires", "session-expires") || Is("q", "contact") {
		t.Error("compact names")
	}
}
