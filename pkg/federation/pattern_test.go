package federation

import "testing"

func TestPatterns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]NLRI{
		"4xxx":    {Family: Enterprise, Key: "4", MinLen: 4, MaxLen: 4},
		"+4420":   {Family: E164, Key: "4420", MinLen: 4, MaxLen: MaxDigits},
		"+1555xx": {Family: E164, Key: "1555", MinLen: 6, MaxLen: 6},
		"4/3-5":   {Family: Enterprise, Key: "4", MinLen: 3, MaxLen: 5},
		"112":     {Family: Enterprise, Key: "112", MinLen: 3, MaxLen: MaxDigits},
	} {
		want.Domain = "example.org"
		got, err := ParsePattern("example.org", text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
		if back := got.Pattern(); back != text {
			t.Errorf("%s is written %s", text, back)
		}
	}
	if n, err := ParsePattern("", "112/3"); err != nil || n.Pattern() != "112" || n.MaxLen != 3 {
		t.Errorf("one whole number: %+v, %v", n, err)
	}
	long := "1234567890123456789012345678901234567890"
	for _, text := range []string{"", "x", "+", "4x4", "4xxx/4", "4/", "4/5-3", "44/1", "4-4", "a", "+x", long, long + "x", "4/300"} {
		if n, err := ParsePattern("", text); err == nil {
			t.Errorf("%q was read as %+v", text, n)
		}
	}
}
