package views

import (
	"embed"
	"strconv"
	"strings"
)

//go:embed verify
var verifiers embed.FS

// language is one that code to check signatures is given in.
type language struct {
	value, word string
	fromEnv     string // how it reads the secret from the environment
}

var languages = []language{
	{"node", "Node", "process.env.WEBHOOK_SECRET"},
	{"python", "Python", `os.environ["WEBHOOK_SECRET"]`},
	{"go", "Go", `os.Getenv("WEBHOOK_SECRET")`},
}

// code is a whole receiver that checks signatures: with the secret in it, or with one that it reads from its environment.
func (l language) code(secret string) string {
	text, err := verifiers.ReadFile("verify/" + l.value + ".txt")
	if err != nil {
		panic("views: no code in " + l.value) // the golden tests of the pages meet every language
	}
	from := l.fromEnv
	if secret != "" {
		from = strconv.Quote(secret)
	}
	return strings.Replace(string(text), "{{secret}}", from, 1)
}
