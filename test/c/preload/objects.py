"""Objects of many sizes that come and go; prints a digest of what is left."""
import hashlib, json, pickle, random, re

class Node:
    def __init__(self, key, left, right):
        self.key, self.left, self.right, self.tags = key, left, right, {"k": key}

def tree(n):
    return None if n == 0 else Node(n, tree(n // 2), tree((n - 1) // 2))

def total(t):
    return 0 if t is None else t.key + len(t.tags) + total(t.left) + total(t.right)

random.seed(4)
digest = hashlib.sha256()
words = [''.join(random.choices('abcdefghij', k=random.randint(1, 40))) for _ in range(40000)]
count = {}
for w in words:
    for n in (1, 2, 3):
        count[w[:n]] = count.get(w[:n], 0) + 1
digest.update(repr(sorted(count.items())).encode())
digest.update(str([total(tree(n)) for n in (1000, 30000, 7)]).encode())
text = json.dumps({str(i): words[i::1000] for i in range(1000)})
digest.update(json.dumps(json.loads(text), sort_keys=True).encode())
digest.update(str(len(pickle.loads(pickle.dumps([tuple(words[i:i + 9]) for i in range(0, 40000, 3)])))).encode())
digest.update(str(len(re.sub('a(b+)c', lambda m: m.group(1) * 3, ' '.join(words)))).encode())
rows = [[random.random() for _ in range(20)] for _ in range(15000)]
rows.sort()
digest.update(str(sum(r[3] for r in rows[::7])).encode())
table = {}
for i in range(200000):
    table[i * 7919 % 50021] = bytes(i % 700)
    if i % 3 == 0:
        table.pop(i * 31 % 50021, None)
digest.update(str(sum(map(len, table.values()))).encode())
print(digest.hexdigest())
