package shop_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/shop"
)

func TestAPauseGoesOnFromWhenItBegan(t *testing.T) {
	t.Parallel()
	c := open(t)
	link := c.create(t, with(func(f *shop.LinkForm) { f.Asks = shop.Asks{Email: true, Tip: true} }))
	require.NoError(t, link.Open(time.Now()))
	paused, err := c.PauseLink(t.Context(), c.merchant, link.ID, "  On holiday. ", ada)
	require.NoError(t, err)
	require.ErrorIs(t, paused.Open(time.Now()), shop.ErrLinkPaused)
	require.Equal(t, "On holiday.", paused.PauseText)
	again, err := c.PauseLink(t.Context(), c.merchant, link.ID, "Still on holiday.", ada)
	require.NoError(t, err)
	require.Equal(t, paused.PausedAt, again.PausedAt)
	require.Equal(t, "Still on holiday.", again.PauseText)
	require.Equal(t, link.Asks, again.Asks, "nothing else has changed")
	resumed, err := c.ResumeLink(t.Context(), c.merchant, link.ID, ada)
	require.NoError(t, err)
	require.Nil(t, resumed.PausedAt)
	require.Empty(t, resumed.PauseText)

	var wrong *shop.FieldError
	for _, text := range []string{strings.Repeat("é", 301), "a\u202eb", "a\x00b"} {
		_, err := c.PauseLink(t.Context(), c.merchant, link.ID, text, ada)
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, "pause_text", wrong.Field)
	}
	_, err = c.PauseLink(t.Context(), "sel_1CbVxLwM7Qe2RtYu8PzKsd", link.ID, "", ada)
	require.ErrorIs(t, err, shop.ErrNotFound)
	_, err = c.ExpireLink(t.Context(), c.merchant, link.ID, ada)
	require.NoError(t, err)
	_, err = c.PauseLink(t.Context(), c.merchant, link.ID, "", ada)
	require.ErrorIs(t, err, shop.ErrLinkExpired)
}

func TestQuestionsHaveNames(t *testing.T) {
	t.Parallel()
	for _, asks := range []shop.Asks{{}, {Name: true}, {Email: true, Tip: true}, {Name: true, Email: true, Note: true, Tip: true}} {
		read, err := shop.AsksOf(asks.Words())
		require.NoError(t, err)
		require.Equal(t, asks, read)
	}
	require.NotNil(t, shop.Asks{}.Words())
	var wrong *shop.FieldError
	_, err := shop.AsksOf([]string{"name", "password"})
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "asks", wrong.Field)
}
