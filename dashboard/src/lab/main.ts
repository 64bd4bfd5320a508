import '../style/base.css';
import './lab.css';
import { byId, fill, h } from '../dom';

fill(byId('main'), h('h1', {}, 'lab'));
