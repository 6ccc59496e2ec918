package handlers_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/money"
)

func TestABuyerIsToldHowToSendTheMoneyHimself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.session(w.link(w.cafeKey, "2.50"))
	attempt := session["payment_attempt"].(string)
	address, err := url.Parse(session["pay_url"].(string))
	require.NoError(t, err)
	k := address.Query().Get("k")
	at := "/pay/" + attempt
	offered := w.get(address.RequestURI(), page).document()
	require.Equal(t, 1, offered.Find(`form[action="`+at+`/transfer?k=`+k+`"]`).Length())
	require.Zero(t, offered.Find("[data-exact]").Length(), "nothing is told before somebody asks")

	answer := w.sends(at+"/transfer?k="+k, nil)
	require.Equal(t, 303, answer.status)
	require.Equal(t, at+"?k="+k+"#transfer", answer.header.Get("Location"))
	shown := w.get(at+"?k="+k, page)
	doc := shown.document()
	amount, err := money.ParseUSDC(doc.Find("[data-exact]").Text())
	require.NoError(t, err)
	require.Greater(t, amount, 2_500_000*money.USDC(1))
	require.LessOrEqual(t, amount, 2_509_999*money.USDC(1))
	require.True(t, strings.EqualFold(cafe, doc.Find(".exact .address").First().Text()))
	require.Contains(t, doc.Find("#transfer-call").Text(), "0xa9059cbb")
	require.Contains(t, doc.Find("#transfer").Text(), "Look twice")
	require.Equal(t, doc.Find("[data-exact]").Text(), w.get(at, page).document().Find("[data-exact]").Text(), "it is no secret, and stays as it is")

	t.Run("and says that he has", func(t *testing.T) {
		wrong := w.sends(at+"/transfer?k="+k, url.Values{"hash": {"0x12"}})
		require.Equal(t, 422, wrong.status)
		require.Equal(t, "0x12", wrong.document().Find("#transfer-hash").AttrOr("value", ""))
		require.Equal(t, 1, wrong.document().Find("#transfer-note").Length())

		require.Equal(t, at+"?k="+k, w.get(at+"/transfer?k="+k, page).header.Get("Location"), "what is fetched again is the purchase")
		hash := "0x" + strings.Repeat("Ab", 32)
		for range 2 {
			told := w.sends(at+"/transfer?k="+k, url.Values{"hash": {"https://explorer.example/tx/" + hash + "?x"}})
			require.Equal(t, 303, told.status)
		}
		require.Equal(t, 1, strings.Count(string(w.get(at, page).body), "Looking for your transfer"))
	})

	t.Run("and only its sender may sign that he did", func(t *testing.T) {
		hash := "0x" + strings.Repeat("Ab", 32)
		claim := url.Values{"hash": {hash}, "signature": {"0x" + strings.Repeat("11", 65)}}
		answer := w.post(at+"/transfer?k="+k+"&"+claim.Encode(), nil)
		require.Equal(t, 409, answer.status)
		require.Equal(t, "nothing_came", answer.errorCode())
		claim.Set("signature", "mine")
		answer = w.post(at+"/transfer?"+claim.Encode(), nil)
		require.Equal(t, 403, answer.status)
		require.Equal(t, "not_the_sender", answer.errorCode())
		claim.Set("hash", "0x12")
		answer = w.post(at+"/transfer?"+claim.Encode(), nil)
		require.Equal(t, 400, answer.status)
		require.Equal(t, "invalid_hash", answer.errorCode())
	})

	t.Run("while it is open", func(t *testing.T) {
		settled := w.post("/api/dev/settle", map[string]any{"payment_attempt_id": attempt}, as(w.cafeKey))
		require.Equal(t, 200, settled.status, string(settled.body))
		require.Zero(t, w.get(at, page).document().Find("#transfer").Length())
	})
}

func TestSomePurchasesOfferNoTransfer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.session(w.link(w.cafeKey, "0.09"))
	at := "/pay/" + session["payment_attempt"].(string)
	require.Zero(t, w.get(at, page).document().Find("#transfer").Length())
	answer := w.post(at+"/transfer", nil)
	require.Equal(t, 409, answer.status)
	require.Equal(t, "no_transfer", answer.errorCode())
	require.Equal(t, 404, w.post("/pay/pa_1ChHQgZvF7Y4JLiQa34ooR/transfer", nil).status)
	require.Equal(t, 404, w.post("/pay/nothing/transfer", nil).status)
}

func TestABuyerIsToldThatNoAmountIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.session(w.link(w.cafeKey, "0.10"))
	at := "/pay/" + session["payment_attempt"].(string)
	for _, sql := range []string{
		`ALTER TABLE manual_amounts DROP CONSTRAINT manual_amounts_attempt_id_fkey`,
		`INSERT INTO manual_amounts (attempt_id, network, pay_to, amount, opened_at, kept_until)
			SELECT 'taken ' || n, network, pay_to, amount + n, now(), now() + interval '1 hour' FROM attempts, generate_series(1, 1000) n`,
	} {
		_, err := w.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	crowded := w.sends(at+"/transfer", nil)
	require.Equal(t, 503, crowded.status)
	require.NotEmpty(t, crowded.header.Get("Retry-After"))
	doc := crowded.document()
	require.Contains(t, doc.Find("#transfer .problem").Text(), "Send nothing")
	require.Zero(t, doc.Find("[data-exact]").Length(), "there is no amount on the page")
	require.Equal(t, 1, doc.Find("[data-do=pay]").Length()-doc.Find("template [data-do=pay]").Length(), "he may pay with his wallet")
	require.Equal(t, "transfers_crowded", w.post(at+"/transfer", nil).errorCode())
}
