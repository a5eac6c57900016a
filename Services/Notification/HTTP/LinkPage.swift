import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// The page of a signed link: one static document for all links. It takes the token from the fragment, asks for the
/// notice, and shows what it gets as text, never as markup.
enum LinkPage {
    static let response: Response = {
        let policy = [
            "default-src 'none'", "script-src 'sha256-\(hash(script))'", "style-src 'sha256-\(hash(style))'",
            "connect-src 'self'", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'none'",
        ].joined(separator: "; ")
        var headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
            .contentSecurityPolicy: policy, .xContentTypeOptions: "nosniff",
        ]
        if let name = HTTPField.Name("Referrer-Policy") { headers[name] = "no-referrer" }
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: page)))
    }()

    private static func hash(_ text: String) -> String {
        Data(SHA256.hash(data: Array(text.utf8))).base64EncodedString()
    }

    private static let page = """
        <!doctype html>
        <html lang="zh">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Sluice 水闸</title>
        <style>\(style)</style>
        <main>
          <h1 id="title">正在打开… / Opening…</h1>
          <p id="facts"></p>
          <ul id="orders"></ul>
          <section id="act" hidden>
            <label for="name">您的姓名 / Your name</label>
            <input id="name" maxlength="120" autocomplete="name">
            <button id="acknowledge" type="button">确认知悉 / Acknowledge</button>
            <label for="body">留言 / Comment</label>
            <textarea id="body" maxlength="2000" rows="3"></textarea>
            <button id="comment" type="button">发送留言 / Send comment</button>
          </section>
          <ul id="comments"></ul>
          <p id="status" role="status"></p>
        </main>
        <script>\(script)</script>
        </html>
        """

    private static let style = """
        body{font:18px/1.5 system-ui,sans-serif;margin:0;padding:1rem;background:#fff;color:#16202a}
        main{max-width:36rem;margin:auto}h1{font-size:1.4rem}p{white-space:pre-line}
        label{display:block;margin-top:1rem}input,textarea{width:100%;box-sizing:border-box;font:inherit;padding:.6rem}
        button{font:inherit;padding:.8rem 1rem;margin-top:.5rem;width:100%;border:0;border-radius:.4rem;background:#0b5cad;color:#fff}
        button:disabled{background:#6b7785}li{margin:.3rem 0}
        """

    private static let script = """
        'use strict';
        const by = id => document.getElementById(id);
        const kid = location.pathname.split('/').pop(), token = location.hash.slice(1);
        const say = text => { by('status').textContent = text; };
        async function post(path, more, headers) {
          const answer = await fetch(path, {method: 'POST', headers: {'content-type': 'application/json', ...headers},
            credentials: 'omit', referrerPolicy: 'no-referrer', body: JSON.stringify({kid, token, ...more})});
          const body = await answer.json();
          if (!answer.ok) throw new Error((body.detail_zh || '') + ' ' + (body.detail || answer.status));
          return body;
        }
        const item = (list, text) => { const li = document.createElement('li'); li.textContent = text; by(list).append(li); };
        async function show() {
          const n = await post('/a/view', {}), c = n.case || {};
          by('title').textContent = [c.category_zh || c.category, c.category_en, c.community_zh].filter(Boolean).join(' · ');
          by('facts').textContent = ['严重程度 Severity: ' + c.severity + '/5', '地点 Place: ' + c.lon + ', ' + c.lat,
            '首次上报 First reported: ' + c.opened_at, '上报数 Reports: ' + c.report_count, '状态 State: ' + c.state,
            n.acknowledged_at ? '已确认 Acknowledged: ' + n.acknowledged_at : ''].filter(Boolean).join('\\n');
          by('orders').replaceChildren(); by('comments').replaceChildren();
          for (const o of n.orders) item('orders', '班组 Crew ' + o.crew_name + ': ' + o.state);
          for (const m of n.comments) item('comments', m.author_name + ': ' + m.body);
          by('act').hidden = false;
          by('acknowledge').disabled = n.state === 'acknowledged';
        }
        const name = () => { const text = by('name').value.trim(); if (!text) { by('name').focus(); throw new Error('请填写姓名 / Your name is needed'); } return text; };
        // The same words keep their key until they are stored, so that a double click or a second try stores one comment.
        let unsent = {};
        function keyOf(words) {
          const text = JSON.stringify(words);
          if (unsent.text !== text) unsent = {text, key: Array.from(crypto.getRandomValues(new Uint8Array(16)),
            byte => byte.toString(16).padStart(2, '0')).join('')};
          return unsent.key;
        }
        async function comment() {
          const words = {name: name(), body: by('body').value}, key = keyOf(words);
          await post('/a/comments', words, {'idempotency-key': key});
          if (unsent.key === key) unsent = {};
          if (by('body').value === words.body) by('body').value = '';
        }
        const act = (id, run) => by(id).addEventListener('click', async () => {
          try { await run(); await show(); say('已完成 / Done'); } catch (error) { say(error.message); } });
        act('acknowledge', () => post('/a/acknowledge', {name: name()}));
        act('comment', comment);
        show().catch(error => { by('title').textContent = 'Sluice 水闸'; say(error.message); });
        """
}
